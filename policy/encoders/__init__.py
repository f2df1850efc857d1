"""From what the eye sees to what reaches the head, camera by camera (spec A12 and the convolutional baselines).

Values are "module:class", so that the names can be listed without importing torch. An encoder is a module with

    uses_streams: ClassVar[bool]      True: forward takes StreamTokens; False: it takes Channels
    dim                               d, channels of a token that reaches the head
    grid                              (rows, columns) of the tokens with a place
    num_pooled, num_grids             tokens without a place; grids of tokens with one (0: all space is averaged away)
    num_tokens                        t = num_pooled + num_grids · rows · columns
    forward(StreamTokens | Channels, both (b, …)) -> Tokens(values (b, t, d), positions (t − num_pooled, 2))

and is built by `Encoder(config, stream_dim, stream_grid)` from a PolicyConfig.
"""

from __future__ import annotations

ENCODERS: dict[str, str] = {
    "pixelwise": "policy.encoders.pixelwise:Pixelwise",
    "avg_late": "policy.encoders.avg_late:AvgLate",
    "avg_early": "policy.encoders.avg_early:AvgEarly",
    "cls_alone": "policy.encoders.cls_alone:ClsAlone",
    "all_patches_late": "policy.encoders.all_patches_late:AllPatchesLate",
    "cnn_keypoints": "policy.encoders.cnn:CnnKeypoints",
    "cnn_avg": "policy.encoders.cnn:CnnAverage",
}
FROM_SCRATCH = ("cnn_keypoints", "cnn_avg")  # those that use no streams
