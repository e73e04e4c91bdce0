//! The words of pages: what gateways, proxies and sign-in portals answer in place of JSON.

use crate::error::text;

/// The words of a body that is no JSON: of a page its title, or else what stands between its tags.
pub(super) fn words_of(body: &str) -> String {
    match body.starts_with('<') {
        true => title(body).unwrap_or_else(|| plain(body)),
        false => text::said(body),
    }
}

/// The title of a page, where the body is one and has it, in words.
pub(super) fn title(page: &str) -> Option<String> {
    if !page.starts_with('<') {
        return None;
    }
    let tag = find_tag(page, "<title")?;
    let start = tag + page[tag..].find('>')? + 1;
    let end = find_tag(&page[start..], "</title").map_or(page.len(), |end| start + end);
    let title = Some(plain(&page[start..end])).filter(|title| !title.is_empty())?;
    Some(format!("a page with the title \"{title}\""))
}

fn find_tag(body: &str, tag: &str) -> Option<usize> {
    let same = |window: &[u8]| window.eq_ignore_ascii_case(tag.as_bytes());
    body.as_bytes().windows(tag.len()).position(same)
}

/// What stands between tags, without styles and scripts.
fn plain(markup: &str) -> String {
    let mut words = String::new();
    let mut rest = markup;
    while let Some((before, tag)) = rest.split_once('<') {
        words.extend([before, " "]);
        let name = tag.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let hidden = ["script", "style"].iter().any(|hidden| name.eq_ignore_ascii_case(hidden));
        let after = match hidden {
            true => find_tag(tag, &format!("</{name}")).map_or("", |end| &tag[end..]),
            false => tag,
        };
        rest = after.split_once('>').map_or("", |(_, rest)| rest);
    }
    words.push_str(rest);
    let entities =
        [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    let words = entities.iter().fold(words, |words, (entity, c)| words.replace(entity, c));
    text::said(&words.split_whitespace().collect::<Vec<_>>().join(" "))
}
