//! The manifest by which Redis names the files of its append-only log, a line each:
//!
//! ```text
//! file NAME seq NUMBER type b       the base: a snapshot or commands
//! file NAME seq NUMBER type i       commands that follow it, in the order of their numbers
//! file NAME seq NUMBER type h       history: replaced, and about to be removed
//! ```

use protocol::args::Args;
use protocol::inline;

/// Whether a manifest is Redis's, by its first line that is no comment.
pub fn is_redis(text: &str) -> bool {
    let first = text.lines().find(|line| !line.starts_with('#'));
    first.is_some_and(|line| line.starts_with("file "))
}

/// The names in a manifest, the base first. The error is the line that is wrong.
pub fn names(text: &str) -> Result<Vec<String>, String> {
    let (mut base, mut commands) = (None, Vec::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let wrong = || line.to_owned();
        let words = words(line).ok_or_else(wrong)?;
        let value = |name: &str| {
            let pairs = words.chunks_exact(2);
            let mut found = pairs.filter(|pair| pair[0].eq_ignore_ascii_case(name));
            found.next().map(|pair| pair[1].clone())
        };
        let name = value("file").filter(|it| !it.is_empty() && !it.contains('/'));
        let name = name.ok_or_else(wrong)?;
        let number: Option<u64> = value("seq").and_then(|text| text.parse().ok());
        let number = number.ok_or_else(wrong)?;
        match value("type").as_deref() {
            Some("b") if base.is_none() => base = Some(name),
            Some("i") => commands.push((number, name)),
            Some("h") => {}
            _ => return Err(wrong()),
        }
    }
    if !commands.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err("of a file whose number is not above the one before".into());
    }
    let commands = commands.into_iter().map(|(_, name)| name);
    Ok(base.into_iter().chain(commands).collect())
}

/// The words of a line; names with blanks stand in quotes.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    inline::split(line.as_bytes(), &mut bytes, &mut spans).ok()?;
    let args = Args::new(&bytes, &spans, &[]);
    let words = (0..args.len()).map(|at| String::from_utf8(args[at].to_vec()).ok());
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_its_files_in_order() {
        for (text, expected) in [
            (
                "file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n",
                &["a.1.base.rdb", "a.1.incr.aof"][..],
            ),
            (
                "# comment\nfile a.1.base.aof seq 1 type h\nfile a.2.incr.aof seq 2 type i\n\
                 file a.3.incr.aof seq 3 type i startoffset 5 endoffset 9\n\
                 file a.2.base.rdb seq 2 type b\n",
                &["a.2.base.rdb", "a.2.incr.aof", "a.3.incr.aof"],
            ),
            ("file \"a b\" seq 1 type i\n", &["a b"]),
        ] {
            assert!(is_redis(text), "{text}");
            assert_eq!(names(text).expect(text), expected);
        }
        for wrong in [
            "file a seq 1\n",
            "file ../a seq 1 type i\n",
            "file a seq x type i\n",
            "file a seq 1 type z\n",
            "file a seq 2 type i\nfile b seq 1 type i\n",
            "file a seq 1 type b\nfile b seq 2 type b\n",
            "file \"a seq 1 type b\n",
        ] {
            assert!(names(wrong).is_err(), "{wrong}");
        }
        assert!(!is_redis("percore append-only log 1\n"));
        assert!(!is_redis(""));
    }
}
