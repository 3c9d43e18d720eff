"""How to recognise that memory ran out, on a CPU or a GPU. Quick to import: no torch."""

from __future__ import annotations

import re

from segviz.runtime.causes import causes_of

OUT_OF_MEMORY_WORDS = (
    "out of memory",  # torch.OutOfMemoryError, and CUDA's own error where a kernel could not be started
    "DefaultCPUAllocator",
    "not enough memory",
    "Insufficient memory",
    "allocate memory",
    "bad_alloc",  # C++'s own error
    # oneDNN says no more where a CPU has no room for a layer's code or work space. That it has no way to compute a
    # layer is another error, about a "primitive descriptor".
    "could not (?:create|execute) a primitive(?! descriptor| from)",
    "CUBLAS_STATUS_ALLOC_FAILED",  # a full GPU leaves none for the libraries' work space
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
)
OUT_OF_MEMORY = re.compile("|".join(OUT_OF_MEMORY_WORDS))
# whole words: a network of the user's may be called HIPPONet
GPU = re.compile(r"\b(?:CUDA|GPU|HIP|MPS|XPU|cuBLAS|cuDNN|cuFFT|(?:CUBLAS|CUDNN|CUFFT)_\w+)\b")
OUT_OF_GPU_MEMORY = ("torch", "OutOfMemoryError")  # the type's module and name; CPUs have none


class ExplainedMemoryError(MemoryError):
    """Memory ran out, or would have; unlike other errors of this kind, its message names the cause and the cure."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; for a CPU torch has no type of error, and a GPU's libraries have their own words."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, Exception) and OUT_OF_MEMORY.search(str(error)) is not None


def is_memory_of_gpu(error: BaseException) -> bool:
    """Whether an error of `is_out_of_memory` says that it was a GPU's memory."""
    first = first_lack(error)
    names = [(kind.__module__.partition(".")[0], kind.__name__) for kind in type(first).__mro__]
    return OUT_OF_GPU_MEMORY in names or GPU.search(str(first)) is not None


def first_lack(error: BaseException) -> BaseException:
    """The lack of memory that an error of `is_out_of_memory` was raised from: itself, if from none."""
    return [one for one in causes_of(error, stated=True) if one is error or is_out_of_memory(one)][-1]
