"""How to recognise that memory ran out, on a CPU or a GPU. Quick to import: no torch."""

from __future__ import annotations

OUT_OF_MEMORY_WORDS = (
    "out of memory",  # torch.OutOfMemoryError, and CUDA's own error where a kernel could not be started
    "DefaultCPUAllocator",
    "not enough memory",
    "Insufficient memory",
    "allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",  # a full GPU leaves none for the libraries' work space
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; for a CPU torch has no type of error, and a GPU's libraries have their own words."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, Exception) and any(words in str(error) for words in OUT_OF_MEMORY_WORDS)
