//! How the queries of URLs are written: a blank is `%20`, which every reader takes for one. `+` is a blank in forms only.

use url::Url;
use url::form_urlencoded::Serializer;

/// Puts `pairs` behind the query that `url` has.
pub(crate) fn add_query(url: &mut Url, pairs: &[(&str, &str)]) {
    if pairs.is_empty() {
        return;
    }
    // A plus sign of a value is %2B by now: what is left stands for blanks.
    let added = Serializer::new(String::new()).extend_pairs(pairs).finish().replace('+', "%20");
    let query = match url.query() {
        Some(known) if !known.is_empty() => format!("{known}&{added}"),
        _ => added,
    };
    url.set_query(Some(&query));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Do names and values come back as they were given, by the rules of URLs and by those of forms, and does what
    /// was there stay as it is?
    #[test]
    fn written_and_read() {
        let nasty = [("a b", "c d"), ("plus", "1+1=2"), ("&", "?#%20"), ("umlaut", "ä\n"), ("", "")];
        let mut url = Url::parse("https://x/p?kept=a+b%2B%20&z#f").unwrap();
        add_query(&mut url, &nasty);
        let query = url.query().unwrap();
        let added = query.strip_prefix("kept=a+b%2B%20&z&").expect(query);
        assert!(added.starts_with("a%20b=c%20d&plus=1%2B1%3D2&") && !added.contains('+'), "{added}");
        let read: Vec<_> = url.query_pairs().skip(2).collect();
        let read: Vec<_> = read.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(read, nasty);
        for (text, expected) in [("https://x/", "https://x/?a=b"), ("https://x/?", "https://x/?a=b")] {
            let mut url = Url::parse(text).unwrap();
            add_query(&mut url, &[]);
            assert_eq!(url.as_str(), text);
            add_query(&mut url, &[("a", "b")]);
            assert_eq!(url.as_str(), expected);
        }
    }
}
