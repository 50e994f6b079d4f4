"""CelebA, cropped and made small."""

import os

import numpy as np
import pytest
from pictures import RNG
from PIL import Image

from grammar_rae.datasets import celeba, image_set
from grammar_rae.errors import DataError, InputError


def write_celeba(folder, parts=(0, 0, 2, 1, 0, 2), csv=False, place="img_align_celeba"):
    """Pictures without loss (their format, not their name, is PNG): a ramp inside the square of 140, 255 outside."""
    (folder / place).mkdir(parents=True, exist_ok=True)
    names = [f"{number:06}.jpg" for number in range(1, len(parts) + 1)]
    for number, name in enumerate(names):
        pixels = np.full((218, 178, 3), 255, np.uint8)
        pixels[39:179, 19:159, 0] = np.arange(140)
        pixels[39:179, 19:159, 1] = np.arange(140)[:, None]
        pixels[39:179, 19:159, 2] = number % 256
        Image.fromarray(pixels).save(folder / place / name, format="PNG")
    attributes = RNG.integers(0, 2, (len(parts), 40))
    separator, suffix = (",", ".csv") if csv else (" ", ".txt")
    lines = [f"{name}{separator}{part}" for name, part in zip(names, parts, strict=True)]
    (folder / f"list_eval_partition{suffix}").write_text("\n".join(["image_id,partition"] * csv + lines) + "\n")
    header = (
        ["image_id," + ",".join(f"A{i}" for i in range(40))] if csv else [str(len(parts)), "5_o_Clock_Shadow " * 40]
    )
    rows = [separator.join([name, *map(str, row)]) for name, row in zip(names, 2 * attributes - 1, strict=True)]
    (folder / f"list_attr_celeba{suffix}").write_text("\n".join(header + rows) + "\n")
    return attributes


class TestCeleba:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path, monkeypatch):
        monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
        monkeypatch.setattr(celeba, "_CHUNK", 2)
        return tmp_path / "cache" / "grammar_rae" / "celeba" / "prepared_64x64"

    @pytest.mark.parametrize(
        ("csv", "place"), [(False, "img_align_celeba"), (True, "img_align_celeba/img_align_celeba")]
    )
    def test_the_square_is_cropped_and_made_small(self, tmp_path, csv, place):
        attributes = write_celeba(tmp_path / "data", csv=csv, place=place)
        train, test = image_set("celeba", tmp_path / "data")
        assert train.shape == test.shape == (3, 64, 64)
        assert train.images[:, 2, 0, 0].tolist() == [0, 1, 3, 4] and test.images[:, 2, 5, 5].tolist() == [2, 5]
        assert np.array_equal(train.labels, attributes[[0, 1, 3, 4]])
        assert np.array_equal(test.labels, attributes[[2, 5]])
        # A ramp stays a ramp: its value at the middle of what a small pixel covers.
        ramp = (np.arange(64) + 0.5) * 140 / 64 - 0.5
        inner = slice(1, -1)  # at the border the filter is cut off
        for axis, channel in ((0, 0), (1, 1)):
            small = train.images[0, channel].astype(float) if axis == 0 else train.images[0, channel].T.astype(float)
            assert np.abs(small - ramp)[:, inner].max() <= 1
            assert small.max() < 140  # nothing of the 255 around the square
        assert isinstance(train.images, np.memmap)

    def test_jpegs(self, tmp_path):
        write_celeba(tmp_path)
        before = image_set("celeba", tmp_path).train
        for path in (tmp_path / "img_align_celeba").iterdir():
            Image.open(path).convert("RGB").save(path, format="JPEG", quality=95)
        for path in (tmp_path / "prepared_64x64").iterdir():
            path.unlink()
        after = image_set("celeba", tmp_path).train
        difference = np.abs(before.images.astype(int) - after.images)
        assert before.fingerprint != after.fingerprint and difference[..., 3:-3, 3:-3].mean() < 4

    def test_is_prepared_once_and_anew_when_the_list_changes(self, tmp_path, cache):
        write_celeba(tmp_path)
        first = image_set("celeba", tmp_path)
        made = sorted(os.listdir(tmp_path / "prepared_64x64"))
        assert [name[:5] for name in made] == ["test-", "train"] and not cache.exists()
        for number in (2, 5):
            (tmp_path / "img_align_celeba" / f"{number:06}.jpg").write_bytes(b"no picture")
        assert image_set("celeba", tmp_path).train.fingerprint == first.train.fingerprint
        list_path = tmp_path / "list_eval_partition.txt"
        list_path.write_text(list_path.read_text().replace("000001.jpg 0", "000001.jpg 2"))
        with pytest.raises(DataError, match=r"00000[25]\.jpg: a picture cannot be read"):
            image_set("celeba", tmp_path)
        assert sorted(os.listdir(tmp_path / "prepared_64x64")) == made

    def test_a_damaged_file_of_prepared_images_is_made_again(self, tmp_path):
        write_celeba(tmp_path)
        before = image_set("celeba", tmp_path).test.fingerprint
        for path in (tmp_path / "prepared_64x64").iterdir():
            path.write_bytes(path.read_bytes()[:-1])
        assert image_set("celeba", tmp_path).test.fingerprint == before

    def test_where_nothing_can_be_written_the_cache_serves(self, tmp_path, cache):
        write_celeba(tmp_path / "data")
        (tmp_path / "data" / "prepared_64x64").write_text("in the way")
        image_set("celeba", tmp_path / "data")
        assert len(os.listdir(cache)) == 2
        for path in cache.iterdir():
            path.unlink()
        cache.rmdir()
        cache.write_text("in the way too")
        with pytest.raises(DataError, match=r"cannot be stored.*permissions"):
            image_set("celeba", tmp_path / "data")

    def test_without_attributes_there_are_no_labels(self, tmp_path):
        write_celeba(tmp_path)
        (tmp_path / "list_attr_celeba.txt").unlink()
        assert image_set("celeba", tmp_path).train.labels is None

    def test_shows_its_progress_when_asked(self, tmp_path, capsys):
        write_celeba(tmp_path)
        image_set("celeba", tmp_path)
        assert capsys.readouterr() == ("", "")
        for path in (tmp_path / "prepared_64x64").iterdir():
            path.unlink()
        image_set("celeba", tmp_path, progress=True)
        shown = capsys.readouterr()
        assert "preparing train: 100%" in shown.err and not shown.out

    def test_missing_parts(self, tmp_path):
        with pytest.raises(InputError, match=r"terms forbid.*mmlab\.ie\.cuhk"):
            image_set("celeba")
        with pytest.raises(DataError, match=r"lacks a list.*list_eval_partition"):
            image_set("celeba", tmp_path)
        write_celeba(tmp_path)
        (tmp_path / "img_align_celeba" / "000004.jpg").unlink()
        with pytest.raises(DataError, match=r"000004\.jpg: a picture named in the list is missing"):
            image_set("celeba", tmp_path)
        assert os.listdir(tmp_path / "prepared_64x64") == []
        (tmp_path / "img_align_celeba" / "000001.jpg").unlink()
        with pytest.raises(DataError, match="lacks the pictures"):
            image_set("celeba", tmp_path)

    def test_pictures_of_another_size_or_cut_off(self, tmp_path):
        write_celeba(tmp_path)
        path = tmp_path / "img_align_celeba" / "000005.jpg"
        content = path.read_bytes()
        Image.new("RGB", (200, 218)).save(path, format="JPEG")
        with pytest.raises(DataError, match=r"000005\.jpg.*200 x 218 pixels; expected 178 x 218"):
            image_set("celeba", tmp_path)
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match=r"000005\.jpg: a picture cannot be read"):
            image_set("celeba", tmp_path)

    @pytest.mark.parametrize(
        ("name", "old", "new", "message"),
        [
            ("list_eval_partition.txt", "000002.jpg", "../000002.jpg", "line 2: .*invalid line"),
            ("list_eval_partition.txt", "000002.jpg", "/etc/x.jpg", "line 2: .*invalid line"),
            ("list_eval_partition.txt", "000002.jpg 0", "000002.jpg 3", "line 2: .*0, 1 or 2"),
            ("list_eval_partition.txt", "000002.jpg 0", "000002.jpg", "line 2: .*invalid line"),
            ("list_eval_partition.txt", " 2", " 1", "lacks training or test"),
            ("list_attr_celeba.txt", "000002.jpg", "000009.jpg", "list of attributes lacks a picture"),
            ("list_attr_celeba.txt", "000002.jpg", "000002.jpg 7", "line 4: .*invalid line"),
            ("list_attr_celeba.txt", "000002.jpg", "000002.jpg 1", "line 4: .*40 times"),
        ],
    )
    def test_lists_with_errors(self, tmp_path, name, old, new, message):
        write_celeba(tmp_path)
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new))
        with pytest.raises(DataError, match=message):
            image_set("celeba", tmp_path)

    def test_a_list_that_is_no_text(self, tmp_path):
        write_celeba(tmp_path)
        (tmp_path / "list_eval_partition.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match="list cannot be read"):
            image_set("celeba", tmp_path)
