"""The video-prediction objective: what is hidden is hidden, what must not help does not, and bad settings are refused."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from policy.pretrain.gradient_shares import gradient_share, shares_of_terms
from policy.pretrain.perceptual import Perceptual
from policy.pretrain.picture_decoder import PictureDecoder
from policy.pretrain.video_prediction import VideoPrediction, moving_db
from policy.streams import TwoStreamEncoder
from whatwhere.errors import BadInput

SIZE = 32


@pytest.fixture
def streams():
    torch.manual_seed(0)
    return TwoStreamEncoder(size=SIZE, dim=64, depth=1, heads=2)


@pytest.fixture
def pair():
    torch.manual_seed(1)
    now = torch.rand(6, 3, SIZE, SIZE)
    later = now.clone()
    later[:4, :, 8:20, 8:20] = torch.rand(4, 3, 12, 12)
    return now, later


def generator():
    return torch.Generator().manual_seed(3)


def learn(model, now, later, steps=60):
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(steps):
        loss, figures, picture = model(now, later, generator())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, figures, picture


@pytest.mark.parametrize("blind", [0.5, 1.0])
def test_it_learns_one_batch(streams, pair, blind):
    losses, figures, picture = learn(VideoPrediction(streams, blind=blind), *pair)
    assert losses[-1] < 0.5 * losses[0]
    assert figures["prediction_db"] > figures["copy_db"]
    assert picture.shape == pair[0].shape


def test_each_term_of_the_loss_has_its_share_of_the_gradient(streams, pair):
    now, later = pair
    model = VideoPrediction(streams, blind=1.0, words=0.5)
    for layer in (model.decoder.leave, model.say_p, model.say_fused):
        layer.weight.data.normal_(0, 0.1)  # at their start they say the same whatever they are told
    terms = model.terms(now, later, generator())
    assert torch.stack([*terms.values()]).sum().item() == model(*pair, generator())[0].item()
    shares = shares_of_terms(model, *pair, generator=generator())
    assert list(shares) == ["gradient_p_pictures", "gradient_p_perceptual", "gradient_p_words"]
    for name in terms:
        model.zero_grad()
        model.terms(now, later, generator())[name].backward()
        assert 0 < shares[f"gradient_p_{name}"] < 1
        assert shares[f"gradient_p_{name}"] == pytest.approx(gradient_share(streams), rel=1e-4)
    model.say_fused.weight.data.zero_()
    assert shares_of_terms(model, *pair, generator=generator())["gradient_p_words"] == 1.0, "only P's tokens are asked for words"
    model.perceptual = 0.0
    assert list(shares_of_terms(model, *pair, generator=generator())) == ["gradient_p_pictures", "gradient_p_words"], "what has no weight trains nothing"
    model.freeze()
    assert shares_of_terms(model, *pair, generator=generator()) == {}


def test_gradients_reach_both_streams(streams, pair):
    model = VideoPrediction(streams, blind=1.0)
    model.decoder.leave.weight.data.normal_(0, 0.1)  # at its start the decoder is grey whatever it is told
    model(*pair, generator())[0].backward()
    for stream in (streams.encoder_m, streams.encoder_p):
        assert max(float(parameter.grad.abs().max()) for parameter in stream.parameters() if parameter.grad is not None) > 0


def random_decoder(model):
    for parameter in model.decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def test_what_is_hidden_does_not_matter(streams, pair):
    """Without any of M (patches hidden, CLS unknown) the later frame has no way into the prediction."""
    now, later = pair
    other = torch.rand_like(later)
    shut = random_decoder(VideoPrediction(streams, hidden=1.0, unknown=1.0, blind=1.0))
    half = random_decoder(VideoPrediction(streams, hidden=0.5, unknown=0.0, blind=1.0))
    with torch.no_grad():
        assert torch.equal(shut(now, later, generator())[2], shut(now, other, generator())[2])
        assert not torch.equal(half(now, later, generator())[2], half(now, other, generator())[2])


def test_the_image_encoder_helps_only_whom_it_may(streams, pair):
    """Static samples and the blind share of the video are decoded without it, so that P must carry the scene."""
    now, later = pair
    asked = []
    model = VideoPrediction(streams, blind=0.0)
    assert model.image_encoder is not None
    model.image_encoder.register_forward_pre_hook(lambda module, inputs: asked.append(len(inputs[0])))
    model(now, later, generator())
    assert asked == [4], "four samples move, two are static"
    blind = VideoPrediction(streams, blind=1.0)
    assert blind.image_encoder is None


def test_assessment_names_every_form(streams, pair):
    model = VideoPrediction(streams, blind=0.5)
    now, later = pair
    learn(model, now, later, steps=3)
    figures, picture = model.eval().assess(now, later, generator())
    assert set(figures) == {
        "reconstruction_db", "prediction_db", "blind_prediction_db", "without_change_db", "blind_without_change_db", "copy_db",
    }  # fmt: skip
    assert all(value == value for value in figures.values())
    again, _ = model.assess(now, later, generator())
    assert figures == again
    assert picture.shape == pair[0].shape


def test_db_counts_moving_pixels_only():
    now = torch.zeros(1, 3, 8, 8)
    later = now.clone()
    later[..., :4] = 0.5
    guess = later.clone()
    guess[..., 4:] = 1.0  # wrong, but there nothing moves
    assert moving_db(guess, later, now) > 60
    assert moving_db(now, later, now) == pytest.approx(6.02, abs=0.01)
    assert moving_db(now, now, now) != moving_db(now, now, now), "nan where nothing moves"


def test_perceptual_distance():
    torch.manual_seed(0)
    distance, picture = Perceptual(), torch.rand(2, 3, 32, 32)
    assert distance(picture, picture) == 0
    near, far = picture + 0.02, picture.flip(3)
    assert 0 < distance(near, picture) < distance(far, picture)
    torch.testing.assert_close(Perceptual()(far, picture), distance(far, picture))  # the same everywhere
    picture.requires_grad_(True)
    distance(picture, far.detach()).backward()
    assert picture.grad is not None
    assert all(parameter.grad is None for parameter in distance.parameters())


def test_decoder_takes_skips_of_any_patch_size():
    for patch, skips in ((8, (32, 16, 8)), (4, (16, 8)), (16, ())):
        decoder = PictureDecoder(64, (4, 4), patch, skips)
        features = [torch.rand(1, channels, 4 * 2**level, 4 * 2**level) for level, channels in enumerate(skips)]
        picture = decoder(torch.rand(2, 16, 64), torch.rand(2, 64), features, torch.tensor([1]) if skips else None)
        assert picture.shape == (2, 3, 4 * patch, 4 * patch)


def test_weights_of_ones_own(streams, tmp_path):
    """Real weights come from a safetensors file, for the perceptual network as for the image encoder; other files are refused."""
    import timm

    real = timm.create_model("test_resnet", features_only=True, out_indices=(0, 1, 2))
    path = str(tmp_path / "weights.safetensors")
    save_file(real.state_dict(), path)
    model = VideoPrediction(streams, image_encoder="test_resnet", image_weights=path, perceptual_network="test_resnet", perceptual_weights=path)
    assert model.image_encoder is not None
    for name, value in model.image_encoder.state_dict().items():
        torch.testing.assert_close(value, real.state_dict()[name])
    (tmp_path / "pickle.pt").write_bytes(b"\x80\x04")
    (tmp_path / "torn.safetensors").write_bytes(b"\x00" * 20)
    for bad in (tmp_path / "pickle.pt", tmp_path / "torn.safetensors", tmp_path / "none.safetensors"):
        with pytest.raises(BadInput, match=r"objective\.image_weights"):
            VideoPrediction(streams, image_encoder="test_resnet", image_weights=str(bad))
    with pytest.raises(BadInput, match="not weights of resnet10t"):
        VideoPrediction(streams, image_encoder="resnet10t", image_weights=path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"hidden": 1.5}, "objective.hidden=1.5"), ({"perceptual": -1.0}, "objective.perceptual"), ({"image_encoder": "resnet9000"}, "no model of this name")],
)
def test_bad_settings(streams, settings, message):
    with pytest.raises(BadInput, match=message):
        VideoPrediction(streams, **settings)
