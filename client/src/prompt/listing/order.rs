//! The order of a listing. Pure.

use ferry_common::wire::entry::{Entry, EntryKind};
use std::cmp::Ordering;

/// What a listing is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The bytes of the names, as in a pipe.
    Bytes,
    /// As people count: folders first, `file9` before `file10`, without regard to case.
    Name,
    /// The newest first.
    Time,
    /// The largest first.
    Size,
}

pub(crate) fn sort(entries: &mut [Entry], by: By, is_reversed: bool) {
    entries.sort_unstable_by(|one, other| {
        let order = match by {
            By::Bytes => Ordering::Equal,
            By::Name => kind_rank(one).cmp(&kind_rank(other)).then_with(|| natural(&one.name, &other.name)),
            By::Time => other.mtime.cmp(&one.mtime).then_with(|| natural(&one.name, &other.name)),
            By::Size => other.size_bytes.cmp(&one.size_bytes).then_with(|| natural(&one.name, &other.name)),
        };
        let order = order.then_with(|| one.name.cmp(&other.name));
        if is_reversed { order.reverse() } else { order }
    });
}

fn kind_rank(entry: &Entry) -> u8 {
    match entry.kind {
        EntryKind::Dir => 0,
        EntryKind::File => 1,
    }
}

/// Digits are compared as numbers, of any length, and letters without regard to case.
fn natural(one: &[u8], other: &[u8]) -> Ordering {
    let (one, other) = (folded(one), folded(other));
    let (mut one, mut other) = (&one[..], &other[..]);
    loop {
        match (one.first(), other.first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(left), Some(right)) if left.is_ascii_digit() && right.is_ascii_digit() => {
                let (left, right) = (take_number(&mut one), take_number(&mut other));
                let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
                if order.is_ne() {
                    return order;
                }
            }
            (Some(left), Some(right)) if left != right => return left.cmp(right),
            (Some(_), Some(_)) => {
                one = &one[1..];
                other = &other[1..];
            }
        }
    }
}

/// The digits that the text begins with, without zeros in front.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(length);
    *text = rest;
    let zeros = number.iter().take_while(|&&byte| byte == b'0').count();
    &number[zeros..]
}

fn folded(name: &[u8]) -> Vec<u8> {
    match str::from_utf8(name) {
        Ok(text) => text.to_lowercase().into_bytes(),
        Err(_) => name.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_common::wire::file_time::FileTime;
    use proptest::prelude::*;

    fn entry(name: &[u8], size_bytes: u64, seconds: i64) -> Entry {
        let kind = if name.ends_with(b"/") { EntryKind::Dir } else { EntryKind::File };
        Entry {
            kind,
            size_bytes,
            mtime: FileTime::from_seconds(seconds),
            executable: false,
            link: false,
            name: name.to_vec(),
        }
    }

    fn sorted(names: &[&str], by: By, is_reversed: bool) -> Vec<String> {
        let numbered = names.iter().zip(0..);
        let mut entries: Vec<_> =
            numbered.map(|(name, at)| entry(name.as_bytes(), u64::try_from(at).unwrap(), at)).collect();
        sort(&mut entries, by, is_reversed);
        entries.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect()
    }

    #[test]
    fn each_order_is_the_one_that_people_expect() {
        let names = ["file10", "b/", "Makefile", "file9", "a", "file09", "A/"];
        assert_eq!(
            sorted(&names, By::Name, false),
            ["A/", "b/", "a", "file09", "file9", "file10", "Makefile"]
        );
        assert_eq!(
            sorted(&names, By::Bytes, false),
            ["A/", "Makefile", "a", "b/", "file09", "file10", "file9"]
        );
        assert_eq!(sorted(&names, By::Time, false)[0], "A/");
        assert_eq!(sorted(&names, By::Size, true)[0], "file10");
        let long = ["9".repeat(60), format!("1{}", "0".repeat(60))];
        assert_eq!(sorted(&[&long[1], &long[0]], By::Name, false), long);
    }

    proptest! {
        #[test]
        fn any_names_have_an_order(names in proptest::collection::vec("[a-b0-2A/]{0,5}", 0..12)) {
            // The sort panics where an order is none.
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let count = names.len();
            prop_assert_eq!(sorted(&names, By::Name, false).len(), count);
        }
    }
}
