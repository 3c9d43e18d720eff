"""Networks of the papers, and published weights that fit them, recognised by their tensors."""

from segviz.models.networks.context_network import ContextNetwork
from segviz.models.networks.layout import Assumption, PictureInput
from segviz.models.networks.recognise import RecognisedNetwork, recognise_network
from segviz.models.networks.stored_tensors import ForeignWeightsError

__all__ = [
    "Assumption",
    "ContextNetwork",
    "ForeignWeightsError",
    "PictureInput",
    "RecognisedNetwork",
    "recognise_network",
]
