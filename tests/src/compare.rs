//! When two replies count as the same.
//!
//! Byte for byte is the rule. The exceptions are commands whose reply has no promised order, or
//! depends on the clock.

use crate::reply::Value;

/// How the replies to a command are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Byte for byte.
    Exact,
    /// The elements in any order.
    AnyOrder,
    /// The elements in any order, by twos: fields with their values.
    PairsInAnyOrder,
    /// A cursor, then elements in any order: a scan that ends in one step.
    ScanPage,
    /// The same, its elements by twos.
    ScanPageOfPairs,
    /// Integers that differ by at most so much, as the clock went on between the two; all else byte
    /// for byte.
    Within(i64),
    /// Of the same kind (error, integer, string, aggregate of so many): what is in it is chance.
    Kind,
    /// Errors byte for byte; what is no error is not compared: it tells of the server and not of
    /// the data.
    ErrorsOnly,
}

impl Compare {
    /// Whether the two replies, each whole, count as the same.
    pub fn same(self, reference: &[u8], tested: &[u8]) -> bool {
        if reference == tested {
            return true;
        }
        if self == Compare::Exact {
            return false;
        }
        let (reference, tested) = (Value::parse(reference), Value::parse(tested));
        if reference.is_error() || tested.is_error() {
            return false;
        }
        match self {
            Compare::Exact => false,
            Compare::ErrorsOnly => true,
            Compare::AnyOrder => sorted(&reference) == sorted(&tested),
            Compare::PairsInAnyOrder => sorted_pairs(&reference) == sorted_pairs(&tested),
            Compare::ScanPage => page(&reference, sorted) == page(&tested, sorted),
            Compare::ScanPageOfPairs => {
                page(&reference, sorted_pairs) == page(&tested, sorted_pairs)
            }
            Compare::Within(distance) => close(&reference, &tested, distance),
            Compare::Kind => kind(&reference) == kind(&tested),
        }
    }
}

/// With its elements sorted, and still the same kind of aggregate.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(all) => Value::Array(in_order(all)),
        Value::Set(all) => Value::Set(in_order(all)),
        Value::Push(all) => Value::Push(in_order(all)),
        Value::Map(pairs) => Value::Map(in_order(pairs)),
        other => other.clone(),
    }
}

fn sorted_pairs(value: &Value) -> Value {
    match value {
        Value::Array(all) if all.len() % 2 == 0 => {
            let pairs: Vec<&[Value]> = all.chunks(2).collect();
            Value::Array(
                in_order(&pairs)
                    .into_iter()
                    .flat_map(<[Value]>::to_vec)
                    .collect(),
            )
        }
        other => sorted(other),
    }
}

fn page(value: &Value, sort: fn(&Value) -> Value) -> Value {
    match value {
        Value::Array(all) if all.len() == 2 => Value::Array(vec![all[0].clone(), sort(&all[1])]),
        other => other.clone(),
    }
}

fn in_order<T: Clone + Ord>(all: &[T]) -> Vec<T> {
    let mut all = all.to_vec();
    all.sort_unstable();
    all
}

fn close(reference: &Value, tested: &Value, distance: i64) -> bool {
    match (reference, tested) {
        (Value::Integer(reference), Value::Integer(tested)) => {
            // Below zero the number is a state (-1, -2), not a time.
            let both_times = *reference >= 0 && *tested >= 0;
            both_times && reference.abs_diff(*tested) <= distance.unsigned_abs()
        }
        (Value::Array(reference), Value::Array(tested)) => {
            reference.len() == tested.len()
                && std::iter::zip(reference, tested).all(|(reference, tested)| {
                    reference == tested || close(reference, tested, distance)
                })
        }
        _ => false,
    }
}

fn kind(value: &Value) -> (&'static str, usize) {
    match value {
        Value::Simple(_) => ("simple", 0),
        Value::Error(_) => ("error", 0),
        Value::Integer(_) => ("integer", 0),
        Value::Bulk(_) => ("bulk", 0),
        Value::Null(written) => (written, 0),
        Value::Double(_) => ("double", 0),
        Value::Boolean(_) => ("boolean", 0),
        Value::Big(_) => ("big", 0),
        Value::Verbatim(_) => ("verbatim", 0),
        Value::Array(all) => ("array", all.len()),
        Value::Set(all) => ("set", all.len()),
        Value::Map(all) => ("map", all.len()),
        Value::Push(all) => ("push", all.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_counts_only_where_it_is_promised() {
        let (left, right) = (b"*2\r\n+a\r\n+b\r\n", b"*2\r\n+b\r\n+a\r\n");
        assert!(!Compare::Exact.same(left, right));
        assert!(Compare::AnyOrder.same(left, right));
        let (set, array) = (b"~2\r\n+a\r\n+b\r\n", b"*2\r\n+b\r\n+a\r\n");
        assert!(!Compare::AnyOrder.same(set, array));
    }

    #[test]
    fn pairs_stay_together() {
        let left = b"*4\r\n+a\r\n:1\r\n+b\r\n:2\r\n";
        assert!(Compare::PairsInAnyOrder.same(left, b"*4\r\n+b\r\n:2\r\n+a\r\n:1\r\n"));
        assert!(!Compare::PairsInAnyOrder.same(left, b"*4\r\n+a\r\n:2\r\n+b\r\n:1\r\n"));
    }

    #[test]
    fn states_are_no_times() {
        assert!(Compare::Within(1).same(b":100\r\n", b":99\r\n"));
        assert!(!Compare::Within(1).same(b":-1\r\n", b":0\r\n"));
        assert!(!Compare::Within(1).same(b":-1\r\n", b":-2\r\n"));
        assert!(!Compare::AnyOrder.same(b"-ERR a\r\n", b"-ERR b\r\n"));
    }
}
