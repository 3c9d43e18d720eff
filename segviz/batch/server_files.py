"""Predictions as the files that a data set's test server takes."""

from __future__ import annotations

from segviz.batch.inputs import Source
from segviz.batch.run import LabelPicture, PictureOutput, prediction_summary
from segviz.data.server_format import ServerFormat
from segviz.image import Rgb


def export_for_server(predict: LabelPicture, form: ServerFormat, source: Source, picture: Rgb) -> PictureOutput:
    """Predict a picture and return its labels as a test server takes them.

    Raises:
        ValueError: the model has other classes than the data set.
    """
    prediction = predict(picture)
    form.check_classes(prediction.classes, prediction.model)
    files = ((form.file_name(source.stem), form.encode(prediction.labels)),)
    return PictureOutput(files, prediction_summary(source.text, prediction))
