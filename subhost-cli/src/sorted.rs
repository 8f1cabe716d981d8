//! Sorting with one copy of the algorithm in the program: of the standard library's there is one for each type, 5 kB each.

use std::cmp::Ordering;

/// Sorts by what `order` says; those that are equal to it stay as they are to each other.
pub fn sort_by<T>(items: &mut Vec<T>, order: impl Fn(&T, &T) -> Ordering) {
    let mut places: Vec<usize> = (0..items.len()).collect();
    sort_places(&mut places, &|one, other| order(&items[one], &items[other]));
    let mut left: Vec<Option<T>> = items.drain(..).map(Some).collect();
    items.extend(places.into_iter().filter_map(|place| left[place].take()));
}

/// Sorts by a key in the same way.
pub fn sort_by_key<T, K: Ord>(items: &mut Vec<T>, key: impl Fn(&T) -> K) {
    sort_by(items, |one, other| key(one).cmp(&key(other)));
}

fn sort_places(places: &mut [usize], order: &dyn Fn(usize, usize) -> Ordering) {
    places.sort_by(|one, other| order(*one, *other));
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn sorts_as_the_standard_library_does(mut ours: Vec<(u8, u8)>) {
            let mut theirs = ours.clone();
            theirs.sort_by_key(|item| item.0);
            sort_by_key(&mut ours, |item| item.0);
            proptest::prop_assert_eq!(ours, theirs);
        }
    }
}
