//! The little XML of the protocol: errors and lists of blocks out, a list of blocks in.

use store::{Block, BlockList};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>";

/// Text as it stands between tags.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

/// An error.
pub(super) fn error(code: &str, message: &str) -> String {
    format!(
        "{HEAD}<Error><Code>{}</Code><Message>{}</Message></Error>",
        escaped(code),
        escaped(message)
    )
}

/// The reply to a question for a blob's blocks; each part as far as it is asked for.
pub(super) fn block_list(list: &BlockList, committed: bool, uncommitted: bool) -> String {
    let mut out = format!("{HEAD}<BlockList>");
    for (wanted, name, blocks) in [
        (committed, "CommittedBlocks", &list.committed),
        (uncommitted, "UncommittedBlocks", &list.uncommitted),
    ] {
        if !wanted {
            continue;
        }
        out.push_str(&format!("<{name}>"));
        for (id, size) in blocks {
            let id = escaped(id);
            out.push_str(&format!(
                "<Block><Name>{id}</Name><Size>{size}</Size></Block>"
            ));
        }
        out.push_str(&format!("</{name}>"));
    }
    out.push_str("</BlockList>");
    out
}

/// Reads the blocks that a blob is to be put together from; `None` for what is no such list. Ids
/// of blocks are base64, so there are no references to characters to be read.
pub(super) fn read_block_list(text: &str) -> Option<Vec<Block>> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if let Some(declared) = rest.strip_prefix("<?xml") {
        rest = declared.split_once("?>")?.1.trim_start();
    }
    let mut list = Vec::new();
    rest = rest.strip_prefix("<BlockList")?.trim_start();
    if rest == "/>" {
        return Some(list);
    }
    rest = rest.strip_prefix('>')?.trim_start();
    loop {
        if let Some(end) = rest.strip_prefix("</BlockList") {
            return (end.trim() == ">").then_some(list);
        }
        let (name, after) = rest.strip_prefix('<')?.split_once('>')?;
        let (id, after) = after.split_once('<')?;
        let id = id.trim();
        let base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=-_".contains(&b);
        if id.is_empty() || !id.bytes().all(base64) {
            return None;
        }
        let make = match name.trim() {
            "Latest" => Block::Latest,
            "Committed" => Block::Committed,
            "Uncommitted" => Block::Uncommitted,
            _ => return None,
        };
        list.push(make(id.to_owned()));
        let after = after.strip_prefix('/')?.strip_prefix(name.trim())?;
        rest = after.trim_start().strip_prefix('>')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_clients_write_them() {
        let id = |id: &str| id.to_owned();
        let text = "<?xml version='1.0' encoding='utf-8'?>\n<BlockList><Latest>QQ==</Latest>\
                    <Uncommitted>Qg==</Uncommitted>\n  <Committed> Q+/_-w== </Committed ></BlockList>\n";
        let list = vec![
            Block::Latest(id("QQ==")),
            Block::Uncommitted(id("Qg==")),
            Block::Committed(id("Q+/_-w==")),
        ];
        assert_eq!(read_block_list(text), Some(list));
        for empty in [
            "<BlockList/>",
            "\u{feff}<BlockList ></BlockList>",
            "<BlockList />",
        ] {
            assert_eq!(read_block_list(empty), Some(Vec::new()), "{empty}");
        }
        for bad in [
            "",
            "<BlockList>",
            "<BlockList></BlockList><x/>",
            "<BlockList><Latest></Latest></BlockList>",
            "<BlockList><Latest>Q</Committed></BlockList>",
            "<BlockList><Other>Q</Other></BlockList>",
            "<BlockList><Latest>&lt;</Latest></BlockList>",
            "<!DOCTYPE x><BlockList></BlockList>",
            "<BlockLists></BlockLists>",
        ] {
            assert_eq!(read_block_list(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_escaped() {
        assert!(error("A", "<&>").contains("<Message>&lt;&amp;&gt;</Message>"));
        let list = BlockList {
            committed: vec![("<".into(), 3)],
            uncommitted: Vec::new(),
        };
        let text = block_list(&list, true, false);
        let committed =
            "<CommittedBlocks><Block><Name>&lt;</Name><Size>3</Size></Block></CommittedBlocks>";
        assert_eq!(text, format!("{HEAD}<BlockList>{committed}</BlockList>"));
    }
}
