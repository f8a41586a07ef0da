//! Replies without what two servers need not have alike: times, addresses, the state of buffers.
//!
//! What is masked still has its kind: `:*` where a number was, `$*` for a string.

use tests::reply::{Value, show};

/// Fields of an entry of ACL LOG that tell when it came.
const TIMES: [&[u8]; 3] = [
    b"age-seconds",
    b"timestamp-created",
    b"timestamp-last-updated",
];

/// What is compared of a client's line.
const CLIENT_FIELDS: [&str; 8] = ["name", "db", "sub", "psub", "ssub", "watch", "user", "cmd"];

/// Lines of INFO that tell of rights.
const INFO_LINES: [&str; 3] = ["acl_access_denied_", "errorstat_", "total_error_replies"];

/// The reply to a line of a conversation as it is compared.
pub fn masked(line: &str, reply: &[u8]) -> String {
    if reply.is_empty() {
        return "closed".to_owned();
    }
    if let Some(words) = of_monitor(reply) {
        return words;
    }
    let upper = line.to_uppercase();
    let asks = |what: &str| upper.contains(what);
    // One that closes has said several replies, or none.
    let Ok(value) = Value::read(reply) else {
        return show(reply);
    };
    if asks("ACL LOG") || asks("USERS LOG") {
        format!("{:?}", log(&value))
    } else if asks("SLOWLOG GET") {
        format!("{:?}", slow_log(&value))
    } else if asks("CLIENT INFO") || asks("CLIENT LIST") {
        lines(&value, |line| Some(client(line)))
    } else if asks("INFO ") || upper.ends_with("INFO") {
        let told = |line: &str| INFO_LINES.iter().any(|start| line.starts_with(start));
        lines(&value, |line| told(line).then(|| line.to_owned()))
    } else if asks("GENPASS") && !value.is_error() {
        format!("{} digits", value.text().len())
    } else if asks("HELLO") && !value.is_error() {
        "greeted".to_owned()
    } else {
        show(reply)
    }
}

/// A line of MONITOR without time and address.
fn of_monitor(reply: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(reply.strip_prefix(b"+")?).ok()?;
    let (time, rest) = text.split_once(" [")?;
    time.parse::<f64>().ok()?;
    let (who, words) = rest.split_once("] ")?;
    let database = who.split(' ').next()?;
    Some(format!("{database} {}", words.trim_end()))
}

fn kind(value: &Value) -> Value {
    Value::Simple(format!("{:.1}*", format!("{value:?}")).into_bytes())
}

fn log(value: &Value) -> Value {
    let Value::Array(entries) = value else {
        return value.clone();
    };
    let entry = |entry: &Value| {
        let fields = entry.elements().expect("an entry");
        let pairs = fields.chunks(2);
        let pairs = pairs.map(|pair| {
            let (name, value) = (pair[0].clone(), &pair[1]);
            let value = match name.text() {
                name if TIMES.contains(&name) => kind(value),
                b"client-info" => {
                    let line = String::from_utf8_lossy(value.text()).into_owned();
                    Value::Bulk(client(&line).into_bytes())
                }
                _ => value.clone(),
            };
            (name, value)
        });
        Value::Map(pairs.collect())
    };
    Value::Array(entries.iter().map(entry).collect())
}

fn slow_log(value: &Value) -> Value {
    let Value::Array(entries) = value else {
        return value.clone();
    };
    let words = |entry: &Value| entry.elements().expect("an entry").swap_remove(3);
    Value::Array(entries.iter().map(words).collect())
}

fn client(line: &str) -> String {
    let fields = line.split(' ').filter(|field| {
        let name = field.split('=').next().unwrap_or_default();
        CLIENT_FIELDS.contains(&name)
    });
    fields.collect::<Vec<_>>().join(" ")
}

fn lines(value: &Value, mask: impl Fn(&str) -> Option<String>) -> String {
    if value.is_error() {
        return format!("{value:?}");
    }
    let text = String::from_utf8_lossy(value.text()).into_owned();
    let mut lines: Vec<String> = text.lines().filter_map(mask).collect();
    lines.sort();
    lines.join("\n")
}
