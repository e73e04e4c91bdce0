//! The words of pages: what gateways, proxies and sign-in portals answer in place of JSON.

use super::message::{Response, without_mark};
use crate::error::text;

/// The title of a page that came in place of what was asked for, to be put behind a sentence; empty for all
/// else, since an answer of success may hold a token.
pub(crate) fn page(response: &Response) -> String {
    let body = String::from_utf8_lossy(without_mark(&response.body));
    title(body.trim_start()).map(|title| format!(", but {title}")).unwrap_or_default()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        Response { status, headers: Vec::new(), body: body.as_bytes().to_vec().into(), tls: None }
    }

    /// Is of an answer of success only the title of a page quoted: anything else may hold a token?
    #[test]
    fn pages() {
        let title = |body: &str| page(&response(200, body));
        assert_eq!(
            title("\u{feff} <html><title>Sign in\u{202e}</title>"),
            ", but a page with the title \"Sign in\""
        );
        for body in [
            "",
            "eyJ.eyJ.x",
            "{\"access_token\":\"x\"",
            "<html>eyJ.eyJ.x",
            "<a><access_token>x</access_token></a>",
        ] {
            assert_eq!(title(body), "", "{body}");
        }
    }
}
