//! Where a reply ends that arrives in pieces.

use smallvec::{SmallVec, smallvec};

use super::element::{self, Bounds, Element, Malformed, Read, Reason};

/// Finds the end of one reply. Elements that are whole are looked at once, however the bytes come.
#[derive(Debug)]
pub struct Scan {
    bounds: Bounds,
    /// Bytes of the reply behind the scan.
    position: usize,
    /// How many elements each open list still lacks, the outermost first. Below them all stands the
    /// reply itself, as a list of one.
    open: SmallVec<[usize; 8]>,
    /// Elements that the lists so far have promised.
    elements: usize,
    has_error: bool,
}

impl Default for Scan {
    fn default() -> Self {
        Scan::new(Bounds::default())
    }
}

impl Scan {
    /// A scan at the first byte of a reply.
    pub fn new(bounds: Bounds) -> Self {
        Scan {
            bounds,
            position: 0,
            open: smallvec![1],
            elements: 1,
            has_error: false,
        }
    }

    /// True where the reply, as far as it has been looked at, is an error or has one within.
    pub fn has_error(&self) -> bool {
        self.has_error
    }

    /// The length in bytes of the reply that `bytes` begin with; None where it is not whole. The
    /// next call takes the same bytes, and more.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are no reply, or one beyond the bounds.
    pub fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        while let Some(lacking) = self.open.last_mut() {
            if *lacking == 0 {
                self.open.pop();
                continue;
            }
            let rest = bytes.get(self.position..).unwrap_or_default();
            let read = element::read(rest, &self.bounds).map_err(|m| m.behind(self.position))?;
            let Read::Whole { element, len } = read else {
                return Ok(None);
            };
            // An attribute comes before the reply that it describes, which is still lacking.
            if !matches!(element, Element::Attribute(_)) {
                *lacking -= 1;
            }
            match element {
                Element::Array(members) | Element::Set(members) | Element::Push(members) => {
                    self.begin_list(members)?;
                }
                Element::Map(pairs) | Element::Attribute(pairs) => {
                    self.begin_list(pairs.saturating_mul(2))?;
                }
                Element::Error(_) => self.has_error = true,
                _ => {}
            }
            self.position += len;
        }
        Ok(Some(self.position))
    }

    fn begin_list(&mut self, members: usize) -> Result<(), Malformed> {
        let error = |reason| Err(Malformed::new(self.position, reason));
        self.elements = self.elements.saturating_add(members);
        if self.elements > self.bounds.elements_max {
            return error(Reason::TooManyElements);
        }
        if self.open.len() > self.bounds.depth_max {
            return error(Reason::TooDeep);
        }
        self.open.push(members);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &[u8] =
        b"%2\r\n$1\r\na\r\n*2\r\n:1\r\n*-1\r\n+b\r\n|1\r\n+k\r\n#t\r\n~1\r\n$-1\r\n";

    #[test]
    fn the_end_is_found_at_every_cut() {
        for cut in 0..NESTED.len() {
            let mut scan = Scan::default();
            assert_eq!(scan.end(&NESTED[..cut]), Ok(None), "cut at {cut}");
            let more = [NESTED, b"+next\r\n"].concat();
            assert_eq!(scan.end(&more), Ok(Some(NESTED.len())), "cut at {cut}");
            assert_eq!(scan.end(&more), Ok(Some(NESTED.len())), "asked again");
        }
    }

    #[test]
    fn errors_are_seen_at_any_depth() {
        for (reply, has_error) in [("*1\r\n*1\r\n-ERR\r\n", true), ("*1\r\n+OK\r\n", false)] {
            let mut scan = Scan::default();
            assert_eq!(scan.end(reply.as_bytes()), Ok(Some(reply.len())));
            assert_eq!(scan.has_error(), has_error);
        }
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let end = Scan::default().end(b"*2\r\n:1\r\n:x\r\n");
        assert_eq!(end, Err(Malformed::new(8, Reason::Number)));
    }

    #[test]
    fn bounds_hold_before_the_bytes_have_come() {
        let bounds = Bounds {
            elements_max: 10,
            depth_max: 2,
            ..Bounds::default()
        };
        let end = |bytes: &[u8]| Scan::new(bounds).end(bytes);
        assert_eq!(end(b"*9\r\n"), Ok(None));
        let too_many = Reason::TooManyElements;
        assert_eq!(end(b"*10\r\n"), Err(Malformed::new(0, too_many)));
        assert_eq!(end(b"%5\r\n"), Err(Malformed::new(0, too_many)));
        assert_eq!(end(b"*5\r\n*5\r\n:1\r\n"), Err(Malformed::new(4, too_many)));
        let most = format!("%{}\r\n", usize::MAX);
        assert_eq!(end(most.as_bytes()), Err(Malformed::new(0, too_many)));
        assert_eq!(end(b"*1\r\n*1\r\n:1\r\n"), Ok(Some(12)));
        assert_eq!(
            end(b"*1\r\n*1\r\n*1\r\n:1\r\n"),
            Err(Malformed::new(8, Reason::TooDeep))
        );
        // Lists that have ended do not count.
        assert_eq!(end(b"*3\r\n*0\r\n*0\r\n*0\r\n"), Ok(Some(16)));
    }
}
