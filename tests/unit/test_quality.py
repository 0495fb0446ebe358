"""Image quality: against independent computation, and in the order that an eye would give."""

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import torch
import torch_fidelity.feature_extractor_inceptionv3 as fidelity
from image_arrays import write_array
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images
from torch import nn
from torchmetrics.image import FrechetInceptionDistance

from betagvae.data.arrays import open_array
from betagvae.data.fetch import Published
from betagvae.errors import UserError
from betagvae.evaluation import inception_weights as weights
from betagvae.evaluation.feature_networks import NETWORKS, EfficientNetLite0
from betagvae.evaluation.image_quality import judge, sharpness
from betagvae.evaluation.inception_weights import fetch_weights
from betagvae.model.networks import VariationalAutoencoder, initialise
from betagvae.paper.quality_tables import FRECHET, NUMBERS
from betagvae.records.files import sha256
from betagvae.settings.quality import QualitySettings
from betagvae.settings.training import TrainingSettings

SETTINGS = QualitySettings(features="efficientnet_lite0", images=12, batch_size=5, threads=1)


@pytest.fixture(scope="module")
def pictures():
    """Photographs cut into 64×64 pieces: uint8, 108×3×64×64."""
    pieces = [
        image[top : top + 64, left : left + 64].transpose(2, 0, 1)
        for image in load_sample_images().images
        for top in range(0, 384, 64)
        for left in range(0, 576, 64)
    ]
    return np.stack(pieces)


@pytest.fixture(scope="module")
def network():
    return EfficientNetLite0()


def frechet(mean_a, covariance_a, mean_b, covariance_b):
    root = scipy.linalg.sqrtm(covariance_a @ covariance_b).real
    return np.square(mean_a - mean_b).sum() + np.trace(covariance_a + covariance_b - 2 * root)


def of_features(a, b):
    return frechet(a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))


class Plane(nn.Module):
    """Features that are the given points themselves."""

    num_features = 2

    def forward(self, points):
        return points


def distance_of(a, b):
    distance = FrechetInceptionDistance(Plane())
    distance.update(torch.from_numpy(a), real=True)
    distance.update(torch.from_numpy(b), real=False)
    return float(distance.compute())


def test_frechet_distance_of_gaussians_in_closed_form():
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], float)  # covariance 4/3 of identity
    expected = (3**2 + 1**2) + 4 / 3 * ((2 - 1) ** 2 + (5 - 1) ** 2)
    assert distance_of(corners * [2, 5] + [3, 1], corners) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_covariances_that_do_not_commute():
    generator = np.random.default_rng(0)
    a, b = (generator.normal(size=(50, 2)) @ generator.normal(size=(2, 2)) for _ in range(2))
    assert distance_of(a, b + 1) == pytest.approx(of_features(a, b + 1), rel=1e-9)


def test_the_network_knows_a_palace_when_it_sees_one(network):
    palace = torch.from_numpy(load_sample_images().images[0][:, 106:533].copy())
    x = palace.permute(2, 0, 1)[None].float()
    x = nn.functional.interpolate(x, (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        best = network.network((x - 127) / 128).topk(3).indices[0].tolist()
    assert 698 in best  # ImageNet's "palace"


def test_features_are_what_the_head_is_made_of(network, pictures):
    x, inner = torch.from_numpy(pictures[:3]), network.network
    maps = []
    hook = inner._conv_head.register_forward_hook(lambda _, inputs, __: maps.append(inputs[0]))
    with torch.no_grad():
        found = network(x)
        inner((x.float() - 127) / 128)
    hook.remove()
    assert found.shape == (3, EfficientNetLite0.num_features)
    torch.testing.assert_close(found, maps[0].mean((2, 3)), rtol=1e-4, atol=1e-4)


def to_network(x):
    return torch.from_numpy((np.clip(x, 0, 1) * 255).round().astype(np.uint8))


def distances_from(pictures, changed):
    """Return the distance of each changed set from the pictures, in [0, 1]."""
    distance = NETWORKS["efficientnet_lite0"](None)
    found = []
    with torch.no_grad():
        distance.update(to_network(pictures), real=True)
        for other in changed:
            distance.reset()
            distance.update(to_network(other), real=False)
            found.append(float(distance.compute()))
    return found


def test_distance_of_equal_sets_is_0_and_grows_with_blur_and_noise(pictures):
    x = pictures[::2] / 255
    noise = np.random.default_rng(0).normal(size=x.shape)
    blurred = [scipy.ndimage.gaussian_filter(x, (0, 0, s, s)) for s in (1, 2, 4)]
    noisy = [x + s * noise for s in (0.02, 0.1, 0.4)]
    same, *others = distances_from(x, [x[::-1], *blurred, *noisy])
    assert same == pytest.approx(0, abs=1e-3)
    assert 1 < others[0] < others[1] < others[2]
    assert 1 < others[3] < others[4] < others[5]


def test_sharpness_is_the_variance_of_the_laplacian(pictures):
    x = pictures / 255
    found = sharpness(torch.from_numpy(x)).numpy()
    for index in (0, 50, 100):
        laplacian = scipy.ndimage.laplace(x[index].mean(0))[1:-1, 1:-1]
        assert found[index] == pytest.approx(laplacian.var(ddof=1), rel=1e-9)
    blurred = scipy.ndimage.gaussian_filter(x, (0, 0, 1, 1))
    assert (sharpness(torch.from_numpy(blurred)).numpy() < found).all()
    assert (sharpness(torch.full((2, 1, 64, 64), 0.3)) == 0).all()


def write_run(folder, images, *, channels):
    """Write an array of train and test images, and a model of random weights."""
    splits = {"train": (0, 60), "test": (60, len(images))}
    array = write_array(folder / "pictures.npy", images, splits=splits, dataset="pictures")
    model = VariationalAutoencoder("burgess", channels, 4)
    initialise(model, torch.Generator().manual_seed(0))
    save_file(model.state_dict(), folder / "model.safetensors")
    settings = TrainingSettings(
        beta=4, gamma=10, seed=3, network="burgess", latents=4, likelihood="squared_error"
    )
    hashes = {"array": {"sha256": sha256(array)}}
    record = {
        "settings": asdict(settings),
        "data": {"channels": channels, "hashes": hashes},
        "weights": {"sha256": sha256(folder / "model.safetensors")},
    }
    (folder / "training.json").write_text(json.dumps(record))
    return array, model.eval()


def judged(folder, array, settings=SETTINGS):
    judge(array, folder / "model.safetensors", settings, output=folder / "quality.json")
    return json.loads((folder / "quality.json").read_text())


def test_numbers_agree_with_independent_computation(tmp_path, pictures, network):
    array, model = write_run(tmp_path, pictures, channels=3)
    settings = QualitySettings(features="efficientnet_lite0", images=1000, batch_size=7, threads=1)
    found = judged(tmp_path, array, settings)
    data = torch.from_numpy(open_array(array).images(range(60, 108)))
    with torch.no_grad():
        mean, _ = model.encoder(data.float() / 255)
        shown = (torch.sigmoid(model.decoder(mean)) * 255).round().to(torch.uint8)
        expected = of_features(*(network(x).double().numpy() for x in (data, shown)))
    assert found["images"] == 48
    assert found["split"] == "test"
    assert found["features"] == "efficientnet_lite0"
    assert found["frechet_reconstruction"] == pytest.approx(expected, rel=1e-3)
    mine, theirs = (
        np.mean([scipy.ndimage.laplace(x.mean(0))[1:-1, 1:-1].var(ddof=1) for x in images])
        for images in (shown.double().numpy() / 255, data.double().numpy() / 255)
    )
    assert found["sharpness_data"] == pytest.approx(theirs, rel=1e-5)
    assert found["sharpness_reconstruction"] == pytest.approx(mine / theirs, rel=1e-5)
    # A reconstruction by random weights is flat grey: alike neither in structure nor set.
    assert 0 < found["ssim_reconstruction"] < 0.6
    assert found["frechet_sample"] > 1


@pytest.mark.parametrize("channels", [1, 3])
def test_same_seed_same_bytes_and_all_numbers(tmp_path, pictures, channels):
    array, _ = write_run(tmp_path, pictures[:, :channels], channels=channels)
    found = judged(tmp_path, array)
    first = (tmp_path / "quality.json").read_bytes()
    assert found["images"] == 12
    identity = {"dataset", "source", "stand_in", "training"}
    numbers = {*FRECHET, *NUMBERS, "sharpness_data"}
    assert found.keys() == identity | numbers | {"features", "split", "images", "surroundings"}
    assert found["stand_in"] is True
    assert found["training"] == json.loads((tmp_path / "training.json").read_text())["settings"]
    judged(tmp_path, array)
    assert (tmp_path / "quality.json").read_bytes() == first


def test_a_diverged_model_is_refused(tmp_path, pictures):
    array, model = write_run(tmp_path, pictures, channels=3)
    nans = {name: torch.full_like(w, torch.nan) for name, w in model.state_dict().items()}
    save_file(nans, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="diverged"):
        judged(tmp_path, array)
    assert not (tmp_path / "quality.json").exists()


def test_a_model_of_other_images_is_refused(tmp_path, pictures):
    array, _ = write_run(tmp_path, pictures, channels=3)
    record = json.loads((tmp_path / "training.json").read_text())
    record["data"]["hashes"]["array"]["sha256"] = "0"
    (tmp_path / "training.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="was not trained on"):
        judged(tmp_path, array)


@pytest.fixture(scope="module")
def inception_weights(tmp_path_factory):
    """Random weights in the file format of the real ones."""
    path = tmp_path_factory.mktemp("inception") / "inception_v3.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.save(fidelity.FeatureExtractorInceptionV3("x", ["2048"]).state_dict(), path)
    return path


def test_inception_reads_its_weights_from_the_file_and_downloads_nothing(
    inception_weights, pictures, monkeypatch
):
    monkeypatch.setattr(fidelity, "load_state_dict_from_url", None)
    distance = NETWORKS["inception_v3"](inception_weights)
    x = torch.from_numpy(pictures[:3])
    with torch.no_grad():
        distance.update(x, real=True)
        distance.update(x, real=False)
    assert distance.real_features_sum.shape == (2048,)
    assert not distance.inception.use_antialias
    with pytest.raises(UserError, match="needs its weights"):
        NETWORKS["inception_v3"](None)


def test_own_weights_are_taken_if_they_are_the_published_ones(
    tmp_path, inception_weights, monkeypatch
):
    output = tmp_path / "data" / "inception_v3.pth"
    with pytest.raises(UserError, match=r"is not the published .* quality\.weights\.path"):
        fetch_weights(output, own=inception_weights, urls=(), folder=tmp_path)
    assert not output.exists()
    digest = hashlib.sha256(inception_weights.read_bytes()).hexdigest()
    monkeypatch.setattr(weights, "INCEPTION_WEIGHTS", Published("w.pth", (), digest))
    fetch_weights(output, own=inception_weights, urls=(), folder=tmp_path)
    assert output.read_bytes() == inception_weights.read_bytes()


def test_a_file_without_weights_is_refused(tmp_path):
    path = tmp_path / "own.pth"
    path.write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"own\.pth holds no weights of a network"):
        NETWORKS["inception_v3"](path)


def test_weights_that_cannot_be_had_name_the_other_network(tmp_path, monkeypatch):
    nowhere = Published("w.pth", ("http://127.0.0.1:9/w",), "0" * 64)
    monkeypatch.setattr(weights, "INCEPTION_WEIGHTS", nowhere)
    with pytest.raises(UserError, match=r"choose another network as quality\.features"):
        fetch_weights(tmp_path / "out.pth", own=None, urls=(), folder=tmp_path)
