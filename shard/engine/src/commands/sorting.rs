//! How SORT and the geo searches sort, so that elements which are equal come out in Redis's order
//! too.
//!
//! All of a sequence is sorted by merging, which leaves equal ones as they were. Where only a part
//! is asked for, Redis uses a quicksort that leaves alone what need not be in order (Bentley and
//! McIlroy, "Engineering a sort function", 1993), and equal ones end up where its exchanges bring
//! them. These are the same two, step by step. Neither minds an order that contradicts itself, as
//! distances that are no numbers make one.

use std::cmp::Ordering;
use std::ops::Range;

/// Fewer elements than these are sorted by insertion.
const INSERTION_MAX: usize = 7;
/// From more elements than these on, the pivot is the median of nine and not of three.
const NINTHER_MIN: usize = 40;

/// Sorts all; equal ones stay in order.
pub fn sort<T>(items: &mut Vec<T>, compare: impl Fn(&T, &T) -> Ordering + Copy) {
    if items.len() < 2 {
        return;
    }
    let mut back = items.split_off(items.len() / 2);
    sort(items, compare);
    sort(&mut back, compare);
    let mut merged = Vec::with_capacity(items.len() + back.len());
    let (mut front, mut back) = (items.drain(..).peekable(), back.into_iter().peekable());
    while let (Some(a), Some(b)) = (front.peek(), back.peek()) {
        let next = match compare(a, b) {
            Ordering::Greater => back.next(),
            _ => front.next(),
        };
        merged.extend(next);
    }
    merged.extend(front);
    merged.extend(back);
    *items = merged;
}

/// Brings into `wanted` what stands there in order. The rest stands anyhow.
pub fn sort_part<T>(
    items: &mut [T],
    wanted: Range<usize>,
    compare: impl Fn(&T, &T) -> Ordering + Copy,
) {
    // No recursion: what clients choose could make it deep.
    let mut unsorted = Vec::new();
    unsorted.push(0..items.len());
    while let Some(range) = unsorted.pop() {
        if range.start >= wanted.end || range.end <= wanted.start {
            continue;
        }
        let part = &mut items[range.clone()];
        if part.len() < INSERTION_MAX {
            sort_by_insertion(part, compare);
            continue;
        }
        part.swap(0, pivot(part, compare));
        let (less, greater) = partition(part, compare);
        unsorted.push(range.end - greater..range.end);
        unsorted.push(range.start..range.start + less);
    }
}

fn sort_by_insertion<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && compare(&items[at - 1], &items[at]) == Ordering::Greater {
            items.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// The place of a median of three or nine.
fn pivot<T>(items: &[T], compare: impl Fn(&T, &T) -> Ordering + Copy) -> usize {
    let len = items.len();
    let mut middle = len / 2;
    if len > INSERTION_MAX {
        let (mut low, mut high) = (0, len - 1);
        if len > NINTHER_MIN {
            let step = len / 8;
            low = median(items, [low, low + step, low + 2 * step], compare);
            middle = median(items, [middle - step, middle, middle + step], compare);
            high = median(items, [high - 2 * step, high - step, high], compare);
        }
        middle = median(items, [low, middle, high], compare);
    }
    middle
}

fn median<T>(items: &[T], [a, b, c]: [usize; 3], compare: impl Fn(&T, &T) -> Ordering) -> usize {
    let compare = |a: usize, b: usize| compare(&items[a], &items[b]);
    match compare(a, b) == Ordering::Less {
        true if compare(b, c) == Ordering::Less => b,
        true if compare(a, c) == Ordering::Less => c,
        true => a,
        false if compare(b, c) == Ordering::Greater => b,
        false if compare(a, c) == Ordering::Less => a,
        false => c,
    }
}

/// Parts the items by the first one: less, equal, greater. Returns how many are less and how many
/// greater. Equal ones are gathered at both ends first and brought to the middle at last.
fn partition<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let len = items.len();
    // [0, equal_low) equal, [equal_low, low) less, [low, high) unknown, [high, equal_high) greater,
    // [equal_high, len) equal.
    let (mut equal_low, mut low, mut high, mut equal_high) = (1, 1, len, len);
    loop {
        while low < high {
            match compare(&items[low], &items[0]) {
                Ordering::Greater => break,
                Ordering::Less => {}
                Ordering::Equal => {
                    items.swap(equal_low, low);
                    equal_low += 1;
                }
            }
            low += 1;
        }
        while low < high {
            match compare(&items[high - 1], &items[0]) {
                Ordering::Less => break,
                Ordering::Greater => {}
                Ordering::Equal => {
                    items.swap(high - 1, equal_high - 1);
                    equal_high -= 1;
                }
            }
            high -= 1;
        }
        if low >= high {
            break;
        }
        items.swap(low, high - 1);
        low += 1;
        high -= 1;
    }
    let (less, greater) = (low - equal_low, equal_high - high);
    swap_blocks(items, 0, low, equal_low.min(less));
    swap_blocks(items, low, len, greater.min(len - equal_high));
    (less, greater)
}

/// Exchanges the `count` items at `start` with the `count` before `end`.
fn swap_blocks<T>(items: &mut [T], start: usize, end: usize, count: usize) {
    for at in 0..count {
        items.swap(start + at, end - count + at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_sort(numbers in proptest::collection::vec(0u8..60, 0..200), wanted in 0usize..200, from in 0usize..200) {
            let mut expected: Vec<(u8, usize)> = numbers.into_iter().enumerate().map(|(at, n)| (n, at)).collect();
            let by_number = |a: &(u8, usize), b: &(u8, usize)| a.0.cmp(&b.0);
            let (mut all, mut some) = (expected.clone(), expected.clone());
            expected.sort_by(by_number);
            sort(&mut all, by_number);
            prop_assert_eq!(&all, &expected);
            let wanted = wanted.min(some.len());
            let from = from.min(wanted);
            sort_part(&mut some, from..wanted, by_number);
            let numbers = |items: &[(u8, usize)]| items.iter().map(|item| item.0).collect::<Vec<_>>();
            prop_assert_eq!(numbers(&some[from..wanted]), numbers(&expected[from..wanted]));
            some.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(some, expected);
        }

        #[test]
        fn contradictions_do_no_harm(numbers in proptest::collection::vec(any::<u8>(), 0..200), wanted in 0usize..200) {
            // Nothing is before anything.
            let contradict = |a: &u8, b: &u8| if a.is_multiple_of(3) { Ordering::Less } else { a.cmp(b) };
            let (mut all, mut some) = (numbers.clone(), numbers.clone());
            sort(&mut all, contradict);
            sort_part(&mut some, 0..wanted.min(numbers.len()), contradict);
            prop_assert_eq!(all.len(), some.len());
        }
    }
}
