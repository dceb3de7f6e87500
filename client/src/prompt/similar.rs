//! Which of the names in a folder was meant by one that is not there. Pure.

/// The name that is like the wanted one: the same but for its case, or with a letter or two that differ, where that is little of
/// it. An ending such as `.txt` says nothing about that.
pub(crate) fn similar<'a>(wanted: &[u8], names: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let wanted = Parts::of(wanted);
    let likeness = names.filter_map(|name| {
        let distance = wanted.distance(&Parts::of(name))?;
        Some((distance, name))
    });
    likeness.min().map(|(_, name)| name)
}

/// A name in lower case.
struct Parts {
    stem: String,
    ending: String,
}

impl Parts {
    fn of(name: &[u8]) -> Self {
        let name = String::from_utf8_lossy(name).to_lowercase();
        let at = name.rfind('.').filter(|&at| at > 0).unwrap_or(name.len());
        let (stem, ending) = name.split_at(at);
        Self { stem: stem.to_owned(), ending: ending.to_owned() }
    }

    /// How far the two are apart, in letters; `None` where that is too far for a slip.
    fn distance(&self, other: &Self) -> Option<usize> {
        // Four letters hold one slip, eight two.
        let most = (self.stem.chars().count() / 4).min(2);
        let letters = self.stem.chars().count().abs_diff(other.stem.chars().count());
        // What differs more in length need not be compared letter by letter.
        let stem =
            if letters > most { None } else { Some(strsim::damerau_levenshtein(&self.stem, &other.stem)) };
        let ending = strsim::damerau_levenshtein(&self.ending, &other.ending);
        stem.filter(|&stem| stem <= most && ending <= 1).map(|stem| stem + ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_guessed_and_nothing_else() {
        let names = [
            "a.txt",
            "server.py",
            "Photos",
            "report-2023.pdf",
            "report-2024.pdf",
            "IMG_4711.JPG",
            ".profile",
        ];
        for (wanted, meant) in [
            ("Photo", Some("Photos")),
            ("photos", Some("Photos")),
            ("sevrer.py", Some("server.py")),
            ("server.p", Some("server.py")),
            ("img_4711.jpg", Some("IMG_4711.JPG")),
            ("report-2025.pdf", Some("report-2023.pdf")),
            (".profil", Some(".profile")),
            // One letter is all of the name, and the names of others are no slips.
            ("b.txt", None),
            ("reports", None),
            ("", None),
            ("\u{fffd}", None),
        ] {
            let found = similar(wanted.as_bytes(), names.iter().map(|name| name.as_bytes()));
            assert_eq!(found, meant.map(str::as_bytes), "{wanted}");
        }
        assert_eq!(similar(b"server.pyx", [&b"server.txt"[..]].into_iter()), None);
    }
}
