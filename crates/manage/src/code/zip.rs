//! Checking an archive of files that goes with published code.
//!
//! Nothing is extracted here. An archive is taken whole or not at all: every member is read to its
//! end and compared with what its header says, so that whoever extracts it later meets no surprise.

use std::collections::HashSet;

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

/// The most members of an archive.
const MOST_MEMBERS: usize = 10_000;
/// The most bytes that all members may have together, extracted.
const MOST_BYTES: u64 = 256 << 20;
/// How many times as large as the archive its members may be, once they have more than
/// [`FREE_BYTES`].
const MOST_RATIO: u64 = 200;
/// Bytes of members whose ratio nobody looks at.
const FREE_BYTES: u64 = 1 << 20;
/// The longest name of a member, in bytes.
const LONGEST_NAME: usize = 1024;

const END: &[u8] = b"PK\x05\x06";
const END_SIZE: usize = 22;
const CENTRAL: &[u8] = b"PK\x01\x02";
const CENTRAL_SIZE: usize = 46;
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_SIZE: usize = 30;

/// A member of an archive, as its directory says.
struct Member {
    name: String,
    deflated: bool,
    crc: u32,
    compressed: u64,
    size: u64,
    /// Where its own header stands.
    at: usize,
}

/// The names of an archive's members, folders left out.
///
/// # Errors
/// What is wrong with it: it is no zip archive or is cut off; it is encrypted, in several parts,
/// larger than this format was made for, or compressed in another way than by deflate; it has too
/// many or too large members; a member's name leads out of the folder that it is extracted to, is
/// there twice, or is that of a link; a member is not what the directory says.
pub(crate) fn check(bytes: &[u8]) -> Result<Vec<String>, String> {
    let members = directory(bytes)?;
    let mut names = HashSet::with_capacity(members.len());
    let mut places = Vec::with_capacity(members.len());
    let mut total: u64 = 0;
    for member in &members {
        check_name(&member.name)?;
        if !names.insert(member.name.trim_end_matches('/').to_lowercase()) {
            return Err(format!("{:?} is there twice", member.name));
        }
        total = total.saturating_add(member.size);
        places.push(content(bytes, member)?);
    }
    if total > MOST_BYTES {
        return Err(format!(
            "its members have {total} bytes; at most {MOST_BYTES} are taken"
        ));
    }
    if total > FREE_BYTES && total / MOST_RATIO > bytes.len() as u64 {
        return Err(format!(
            "its members are more than {MOST_RATIO} times as large as it is"
        ));
    }
    let mut ranges: Vec<_> = places.iter().map(|(range, _)| range.clone()).collect();
    ranges.sort_unstable_by_key(|range| range.start);
    if ranges.windows(2).any(|two| two[0].end > two[1].start) {
        return Err("two of its members overlap".to_owned());
    }
    for (member, (_, data)) in members.iter().zip(&places) {
        check_content(member, data)?;
    }
    let files = members.into_iter().map(|member| member.name);
    Ok(files.filter(|name| !name.ends_with('/')).collect())
}

fn cut_off() -> String {
    "it is cut off".to_owned()
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(size)?)?;
    Some(
        field
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    )
}

/// What the directory at the archive's end says.
fn directory(bytes: &[u8]) -> Result<Vec<Member>, String> {
    // The comment behind the end is at most 65,535 bytes, and says how long it is.
    let last = bytes
        .len()
        .checked_sub(END_SIZE)
        .ok_or("it is no zip archive")?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let end = (first..=last)
        .rev()
        .find(|at| {
            bytes.get(*at..).is_some_and(|rest| rest.starts_with(END))
                && number(bytes, at + 20, 2) == Some((last - at) as u64)
        })
        .ok_or("it is no zip archive")?;
    let field = |at: usize, size: usize| number(bytes, end + at, size).unwrap_or_default();
    let (disk, start_disk, here, count) = (field(4, 2), field(6, 2), field(8, 2), field(10, 2));
    let (size, start) = (field(12, 4), field(16, 4));
    if disk != 0 || start_disk != 0 || here != count {
        return Err("it is in several parts".to_owned());
    }
    if count == 0xffff || size == 0xffff_ffff || start == 0xffff_ffff {
        return Err("it is in the form for very large archives".to_owned());
    }
    if count as usize > MOST_MEMBERS {
        return Err(format!(
            "it has {count} members; at most {MOST_MEMBERS} are taken"
        ));
    }
    if start + size > end as u64 {
        return Err(cut_off());
    }
    let mut at = start as usize;
    let mut members = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let (member, next) = one_of_directory(bytes, at, end)?;
        members.push(member);
        at = next;
    }
    Ok(members)
}

fn one_of_directory(bytes: &[u8], at: usize, end: usize) -> Result<(Member, usize), String> {
    let header = bytes.get(at..end).ok_or_else(cut_off)?;
    if !header.starts_with(CENTRAL) {
        return Err("its directory is damaged".to_owned());
    }
    let field = |at: usize, size: usize| number(header, at, size).ok_or_else(cut_off);
    let (system, flags, method) = (field(5, 1)?, field(8, 2)?, field(10, 2)?);
    let (crc, compressed, size) = (field(16, 4)?, field(20, 4)?, field(24, 4)?);
    let (name_size, extra, comment) = (field(28, 2)?, field(30, 2)?, field(32, 2)?);
    let (attributes, local) = (field(38, 4)?, field(42, 4)?);
    let name_end = CENTRAL_SIZE + name_size as usize;
    let name = header.get(CENTRAL_SIZE..name_end).ok_or_else(cut_off)?;
    let name = std::str::from_utf8(name)
        .map_err(|_| "the name of a member is not UTF-8".to_owned())?
        .to_owned();
    if flags & 1 != 0 {
        return Err(format!("{name:?} is encrypted"));
    }
    if !matches!(method, 0 | 8) {
        return Err(format!(
            "{name:?} is compressed by method {method}; only deflate is taken"
        ));
    }
    if [compressed, size, local].contains(&0xffff_ffff) {
        return Err("it is in the form for very large archives".to_owned());
    }
    // On Unix the upper half is the mode; a link would lead wherever it says.
    const UNIX: u64 = 3;
    if system == UNIX && attributes >> 28 == 0o12 {
        return Err(format!("{name:?} is a link"));
    }
    let member = Member {
        name,
        deflated: method == 8,
        crc: crc as u32,
        compressed,
        size,
        at: local as usize,
    };
    Ok((member, at + name_end + extra as usize + comment as usize))
}

/// Where a member stands, its own header included, and its bytes as they are stored.
fn content<'a>(
    bytes: &'a [u8],
    member: &Member,
) -> Result<(std::ops::Range<usize>, &'a [u8]), String> {
    let header = bytes.get(member.at..).ok_or_else(cut_off)?;
    if !header.starts_with(LOCAL) {
        return Err(format!("{:?} is not where the directory says", member.name));
    }
    let field = |at: usize| number(header, at, 2).ok_or_else(cut_off);
    let (name_size, extra) = (field(26)? as usize, field(28)? as usize);
    let name = header
        .get(LOCAL_SIZE..LOCAL_SIZE + name_size)
        .ok_or_else(cut_off)?;
    if name != member.name.as_bytes() {
        return Err(format!(
            "{:?} has another name in its own header",
            member.name
        ));
    }
    let from = member.at + LOCAL_SIZE + name_size + extra;
    let to = usize::try_from(member.compressed)
        .ok()
        .and_then(|size| from.checked_add(size))
        .ok_or_else(cut_off)?;
    let data = bytes.get(from..to).ok_or_else(cut_off)?;
    Ok((member.at..to, data))
}

/// A member's name must stay below the folder that it is extracted to, on every system.
fn check_name(name: &str) -> Result<(), String> {
    let path = name.strip_suffix('/').unwrap_or(name);
    let part_is_bad = |part: &str| part.is_empty() || part == ".." || part.ends_with([' ', ':']);
    let bad = path.is_empty()
        || path.len() > LONGEST_NAME
        || path.starts_with('/')
        || path.contains('\\')
        || path.contains(char::is_control)
        || path.as_bytes().get(1) == Some(&b':')
        || path.split('/').any(part_is_bad);
    match bad {
        true => Err(format!("{name:?} is not a relative path without \"..\"")),
        false => Ok(()),
    }
}

/// Reads a member to its end.
fn check_content(member: &Member, data: &[u8]) -> Result<(), String> {
    let differs = || format!("{:?} is not what the directory says", member.name);
    let mut sum = Crc::new();
    let mut size: u64 = 0;
    if !member.deflated {
        sum.add(data);
        size = data.len() as u64;
    } else {
        let mut state = InflateState::new_boxed(DataFormat::Raw);
        let mut buffer = vec![0; 64 * 1024];
        let mut rest = data;
        loop {
            let step = inflate(&mut state, rest, &mut buffer, MZFlush::None);
            let out = buffer.get(..step.bytes_written).unwrap_or_default();
            sum.add(out);
            size += out.len() as u64;
            if size > member.size {
                return Err(differs());
            }
            rest = rest.get(step.bytes_consumed..).unwrap_or_default();
            match step.status {
                Ok(MZStatus::StreamEnd) => break,
                Ok(MZStatus::Ok) if step.bytes_written > 0 || step.bytes_consumed > 0 => {}
                _ => return Err(format!("{:?} is damaged", member.name)),
            }
        }
        if !rest.is_empty() {
            return Err(differs());
        }
    }
    match (size, sum.end()) == (member.size, member.crc) {
        true => Ok(()),
        false => Err(differs()),
    }
}

/// CRC-32 as zip archives have it.
struct Crc(u32);

impl Crc {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut value = i as u32;
            let mut bit = 0;
            while bit < 8 {
                value = (value >> 1) ^ (0xedb8_8320 * (value & 1));
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };

    fn new() -> Crc {
        Crc(u32::MAX)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let index = (self.0 ^ u32::from(*byte)) & 0xff;
            self.0 = (self.0 >> 8) ^ Crc::TABLE[index as usize];
        }
    }

    fn end(&self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::compress_to_vec;

    /// An archive as a writer of zip files makes it; `change` sees each member's two headers.
    fn archive(files: &[(&str, &[u8])], change: impl Fn(&mut Vec<u8>, &mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        let mut central = Vec::new();
        for (name, content) in files {
            let packed = compress_to_vec(content, 6);
            let mut sum = Crc::new();
            sum.add(content);
            let mut common = vec![20, 0, 0, 0, 8, 0, 0, 0, 0, 0];
            common.extend(sum.end().to_le_bytes());
            common.extend((packed.len() as u32).to_le_bytes());
            common.extend((content.len() as u32).to_le_bytes());
            common.extend((name.len() as u16).to_le_bytes());
            common.extend([0, 0]);
            let mut local = [LOCAL, &common].concat();
            let mut entry = [CENTRAL, &[20, 3], &common].concat();
            entry.extend([0; 10]);
            entry.extend((out.len() as u32).to_le_bytes());
            change(&mut local, &mut entry);
            entry.extend(name.as_bytes());
            local.extend(name.as_bytes());
            out.extend(local);
            out.extend(packed);
            central.extend(entry);
        }
        let start = out.len() as u32;
        let size = central.len() as u32;
        out.extend(central);
        out.extend(END);
        out.extend([0, 0, 0, 0]);
        out.extend((files.len() as u16).to_le_bytes());
        out.extend((files.len() as u16).to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend(start.to_le_bytes());
        out.extend([0, 0]);
        out
    }

    fn plain(files: &[(&str, &[u8])]) -> Vec<u8> {
        archive(files, |_, _| {})
    }

    #[test]
    fn crc_is_that_of_the_standard() {
        let mut sum = Crc::new();
        sum.add(b"123456789");
        assert_eq!(sum.end(), 0xcbf4_3926);
    }

    #[test]
    fn a_good_archive_gives_its_files() {
        let long = vec![7; 300_000];
        let bytes = plain(&[
            ("env.RData", b"data"),
            ("packages/", b""),
            ("packages/a b.zip", &long),
            ("ä/./b", b""),
        ]);
        let names = check(&bytes).unwrap();
        assert_eq!(names, ["env.RData", "packages/a b.zip", "ä/./b"]);
        let mut commented = bytes;
        let length = commented.len();
        commented[length - 2] = 3;
        commented.extend(b"old");
        assert_eq!(check(&commented).unwrap().len(), 3);
        assert_eq!(check(&plain(&[])).unwrap().len(), 0);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a\\b",
            "C:x",
            "c:/x",
            "a//b",
            "",
            "/",
            "a\u{0}b",
            "a/b ",
        ] {
            let problem = check(&plain(&[(name, b"x")])).unwrap_err();
            assert!(problem.contains("relative path"), "{name:?}: {problem}");
        }
        let twice = check(&plain(&[("a", b"1"), ("A", b"2")])).unwrap_err();
        assert!(twice.contains("twice"), "{twice}");
    }

    #[test]
    fn what_is_no_plain_archive_is_refused() {
        let good = plain(&[("a", b"content of a"), ("b", b"content of b")]);
        type Change = fn(&mut Vec<u8>, &mut Vec<u8>);
        let changed =
            |change: Change| check(&archive(&[("a", b"content of a")], change)).unwrap_err();
        let cases: [(&str, Change); 6] = [
            ("encrypted", |_, central| central[8] |= 1),
            ("method 12", |_, central| central[10] = 12),
            ("link", |_, central| central[41] = 0xa1),
            ("not what", |_, central| central[16] ^= 1),
            ("not what", |_, central| central[24] += 1),
            ("where the directory says", |local, _| local[0] = b'p'),
        ];
        for (expected, change) in cases {
            let problem = changed(change);
            assert!(problem.contains(expected), "{expected}: {problem}");
        }
        for bytes in [&b""[..], b"PK", &good[..good.len() - 1], &good[1..]] {
            check(bytes).unwrap_err();
        }
        // No byte that is changed makes it panic, nor is a changed content taken.
        let whole = check(&good).unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                if let Ok(names) = check(&bytes) {
                    assert_eq!(names.len(), whole.len());
                }
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let zeros = vec![0; 8 << 20];
        let problem = check(&plain(&[("zeros", &zeros)])).unwrap_err();
        assert!(problem.contains("times as large"), "{problem}");
        let problem = check(&archive(&[("liar", &zeros)], |local, central| {
            for header in [(local, 22), (central, 24)] {
                header.0[header.1..header.1 + 4].copy_from_slice(&100u32.to_le_bytes());
            }
        }));
        assert!(problem.unwrap_err().contains("not what"));
        // Two members that share their bytes.
        let shared = archive(&[("a", b"x"), ("b", b"x")], |_, central| {
            central[42..46].copy_from_slice(&[0; 4]);
        });
        check(&shared).unwrap_err();
    }
}
