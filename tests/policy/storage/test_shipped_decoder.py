"""`decoder=shipped`: the decoder beside the shipped streams is for them, and draws a change better than no change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policy.change import ChangeEncoder
from policy.channels import picture_tensor
from policy.pretrain.kept_decoder import FrameDecoder
from policy.pretrain.video_prediction import moving_db
from policy.storage.decoder_files import find_decoder, streams_of_decoder
from policy.storage.stored import SHIPPED, default_streams, read_streams
from whatwhere.errors import BadInput


def test_it_is_for_the_shipped_streams() -> None:
    folder, record = find_decoder(SHIPPED)
    assert folder == default_streams() / "decoder"
    assert record["streams_sha256"] == read_streams(default_streams())["sha256"]
    assert streams_of_decoder(SHIPPED, 96, record["streams_sha256"]) == default_streams()
    with pytest.raises(BadInput, match=r"^decoder=shipped: draws 96 px, but the policy sees 64 px$"):
        streams_of_decoder(SHIPPED, 64)


def test_it_draws_what_moved() -> None:
    import envs

    env = envs.make("pick_at_xy")
    obs, _ = env.reset(seed=100_003)
    now = obs["frames"][:, -1].copy()
    for _ in range(8):
        obs, *_ = env.step(np.array([0.6, -0.4, -0.6, 0, 0, 0, -1], np.float32))
    pair = [picture_tensor(frames, torch.device("cpu")) for frames in (now, obs["frames"][:, -1])]
    env.close()
    change = ChangeEncoder.from_pretrained(default_streams())(*(part.permute(0, 2, 3, 1) for part in pair))
    drawn = FrameDecoder.from_pretrained(SHIPPED).generate(pair[0].permute(0, 2, 3, 1), change).permute(0, 3, 1, 2)
    assert moving_db(drawn, pair[1], pair[0]) > moving_db(pair[0], pair[1], pair[0]) + 3
