"""Quantized decentralized SGD (Reisizadeh et al. 2018, arXiv 1806.11536), with a fixed batch.

    x_i <- (1 - epsilon + epsilon w_ii) x_i + epsilon sum_j w_ij Q(x_j) - alpha epsilon g_i

The neighbours' models arrive quantized, one's own is used as it is.
"""

from typing import Any, ClassVar

from desim.algorithms.dsgd import DSGD
from desim.tensors.compressors.base import Compressor


class QDSGD(DSGD):
    """Synchronous decentralized SGD with quantized models.

    Attributes:
        compressor: Q, which must be named.
    """

    kind: ClassVar[str] = "q-dsgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"batch": 5},)

    compressor: Compressor
