"""One network a file, each with its configuration. `GENERATORS` lists them all."""

from __future__ import annotations

from ..contracts import Generator
from .attention_dense import AttentionDenseConfig, AttentionDenseGenerator
from .disgan import DisganConfig, DisganGenerator
from .hybrid_attention import HybridAttentionConfig, HybridAttentionGenerator
from .medgan import MedganConfig, MedganGenerator
from .rrdb import RrdbConfig, RrdbGenerator
from .srcnn import SrcnnConfig, SrcnnGenerator
from .srresnet import SrresnetConfig, SrresnetGenerator
from .tgan import TganConfig, TganGenerator
from .through_plane import ThroughPlaneConfig, ThroughPlaneGenerator

GENERATORS: dict[str, tuple[type, type[Generator]]] = {
    "through-plane": (ThroughPlaneConfig, ThroughPlaneGenerator),
    "srcnn": (SrcnnConfig, SrcnnGenerator),
    "srresnet": (SrresnetConfig, SrresnetGenerator),
    "rrdb": (RrdbConfig, RrdbGenerator),
    "hybrid-attention": (HybridAttentionConfig, HybridAttentionGenerator),
    "attention-dense": (AttentionDenseConfig, AttentionDenseGenerator),
    "medgan": (MedganConfig, MedganGenerator),
    "tgan": (TganConfig, TganGenerator),
    "disgan": (DisganConfig, DisganGenerator),
}
