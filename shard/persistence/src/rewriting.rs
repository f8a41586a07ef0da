//! The log written anew: a snapshot takes the place of its beginning, and of all parts before the
//! instant of that snapshot.
//!
//! The part that begins at the instant is named before its first record is written. A crash from
//! there on reads the old base, the old parts and this one. When the new base is whole, one more
//! manifest names it in their place, and they are removed.

use std::io;

use crate::manifest::{Folder, Manifest, Part};

/// What a snapshot is the beginning of.
#[derive(Clone, Debug)]
pub struct NewBase {
    folder: Folder,
    /// The file's name in the folder.
    name: String,
    /// The part that follows it. None where nobody writes a log.
    part: Option<Part>,
}

impl NewBase {
    /// Begins the part that follows a new base, in the files of as many shards. `manifest` is the
    /// one in force, and names the part from here on, unless the log is just being turned on: there
    /// is nothing then that the part could follow, and it is named when its base is whole. `least`
    /// is the least number that the part may have.
    pub fn with_part(
        folder: Folder,
        manifest: &mut Manifest,
        least: u64,
        shards: usize,
    ) -> io::Result<Self> {
        let part = Part {
            sequence: next_sequence(&folder, manifest, least)?,
            shards,
        };
        folder.create_part(part)?;
        if !manifest.parts.is_empty() {
            let mut with_part = manifest.clone();
            with_part.parts.push(part);
            folder.write(&with_part)?;
            *manifest = with_part;
        }
        Ok(Self {
            name: folder.base_name(part.sequence),
            folder,
            part: Some(part),
        })
    }

    /// A base that is all of the log: nobody writes one.
    pub fn alone(folder: Folder, manifest: &Manifest, least: u64) -> io::Result<Self> {
        folder.create()?;
        let sequence = next_sequence(&folder, manifest, least)?;
        Ok(Self {
            name: folder.base_name(sequence),
            folder,
            part: None,
        })
    }

    /// The part that follows the base.
    pub fn part(&self) -> Option<Part> {
        self.part
    }

    /// Where the base is to be written.
    pub fn path(&self) -> std::path::PathBuf {
        self.folder.base(&self.name)
    }

    /// The base is whole: it takes the place of what was before it, which is removed. `manifest`,
    /// the one in force, names it from here on, unless nobody writes a log.
    pub fn commit(self, manifest: &mut Manifest) -> io::Result<()> {
        let Some(part) = self.part else {
            let alone = Manifest {
                base: Some(self.name),
                parts: Vec::new(),
            };
            self.folder.write(&alone)?;
            return self.folder.tidy(&alone);
        };
        let mut rewritten = manifest.clone();
        rewritten.base = Some(self.name);
        rewritten.parts.retain(|it| it.sequence >= part.sequence);
        if rewritten.parts.is_empty() {
            rewritten.parts.push(part);
        }
        self.folder.write(&rewritten)?;
        *manifest = rewritten;
        self.folder.tidy(manifest)
    }
}

/// A number, at least `least`, that no file of the log has.
fn next_sequence(folder: &Folder, known: &Manifest, least: u64) -> io::Result<u64> {
    let on_disk = folder.read()?;
    let sequences = [known].into_iter().chain(&on_disk);
    Ok(sequences.map(Manifest::next_sequence).fold(least, u64::max))
}
