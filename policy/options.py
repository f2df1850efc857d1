"""What options of networks and of their training may be, for the settings of every command that has them. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from policy.ablation import STREAMS, USED
from policy.encoders import ENCODERS
from policy.fallback import FALLBACKS
from policy.fusion import FUSIONS
from policy.heads import HEADS
from policy.inference import EXPORTED, INFERENCES, check_inference
from policy.joins import JOINS
from policy.language import LANGUAGES
from policy.late import LONGEST, PARTS
from whatwhere.kinds import Checked, Length, OneOf, Range, Text

TaskName = Annotated[str, Text("the name of a task", 200)]
Version = Annotated[int, Range(0, 1000)]  # of a task
Encoder = Annotated[str, OneOf(ENCODERS)]
Head = Annotated[str, OneOf(HEADS)]
Fusion = Annotated[str, OneOf(FUSIONS)]
Language = Annotated[str, OneOf(LANGUAGES)]
Join = Annotated[str, OneOf(JOINS)]
Sharing = Annotated[str, OneOf("separate", "shared")]
Precision = Annotated[str, OneOf("auto", "fp32", "bf16")]
Device = Annotated[str, Text("auto, cpu, cuda, cuda:0, …", 20, r"auto|cpu|cuda(:\d{1,2})?")]
Inference = Annotated[str, Checked(check_inference, f"auto, {', '.join(INFERENCES)} or FILE{EXPORTED}")]
Threads = Annotated[int, Range(0, 1024)]
Batch = Annotated[int, Range(1, 16_384)]
LearningRate = Annotated[float, Range(0, 1, above=True)]
WeightDecay = Annotated[float, Range(0, 1)]
Dropout = Annotated[float, Range(0, 1, below=True)]
HeldOutShare = Annotated[float, Range(0, 1, above=True, below=True)]
StreamsUsed = Annotated[str, OneOf(USED)]
Fallback = Annotated[str, OneOf(FALLBACKS)]
Said = Annotated[str, OneOf(("blank", "other"))]  # instead of the instruction, at evaluation (eval.playing.said)
Without = Annotated[str, OneOf(STREAMS)]
Latency = Annotated[int, Range(0, LONGEST)]  # control steps
History = Annotated[tuple[Annotated[str, OneOf(PARTS)], ...], Length(0, len(PARTS))]
ChunkLength = Annotated[int, Range(1, 1000)]  # actions
