//! Client-side caching: what clients with caches are told, held against the reference, and whether
//! caches that go by it are ever wrong.

mod bounds;
mod coherence;
mod events;
mod order;
mod own_ways;
mod scenes;

use tests::reply::Value;

/// What an invalidation names: keys, or nothing for all. `None` where it is none.
fn invalidated(message: &Value) -> Option<Option<Vec<Vec<u8>>>> {
    let (Value::Push(parts) | Value::Array(parts)) = message else {
        return None;
    };
    let is = |part: &Value, word: &[u8]| matches!(part, Value::Bulk(text) if text == word);
    let keys = match &parts[..] {
        [kind, keys] if is(kind, b"invalidate") => keys,
        [kind, channel, keys] if is(kind, b"message") && is(channel, b"__redis__:invalidate") => {
            keys
        }
        _ => return None,
    };
    let keys = keys.elements();
    Some(keys.map(|keys| keys.iter().map(|key| key.text().to_vec()).collect()))
}
