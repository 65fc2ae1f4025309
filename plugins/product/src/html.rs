//! Descriptions are HTML that staff, imports and other systems wrote, shown later in every shopper's browser: what could
//! run there is removed before it is stored.

use ammonia::Builder;

/// Scripts, handlers, frames, styles and unknown URL schemes are gone; text, lists, tables, links and images stay.
pub fn sanitize(html: &str) -> String {
    if !html.contains(['<', '&']) {
        return html.trim().to_owned();
    }
    Builder::default().clean(html.trim()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_in_a_description_never_reaches_a_shopper() {
        for attack in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<iframe src=\"https://evil.example\"></iframe>",
            "<svg><script>alert(1)</script></svg>",
            "<p style=\"background:url(javascript:alert(1))\">x</p>",
            "<math><mi//xlink:href=\"data:x,<script>alert(4)</script>\">",
            "<form action=\"//evil.example\"><input></form>",
        ] {
            let kept = sanitize(attack);
            for trace in ["script", "onerror", "iframe", "javascript", "style", "form", "xlink"] {
                assert!(!kept.contains(trace), "{attack} left {kept}");
            }
        }
    }

    #[test]
    fn what_describes_a_product_stays() {
        let html = "<p>Raked <strong>chrome</strong> fork &amp; stem</p>\n<ul>\n<li>369 g</li>\n</ul>";
        assert_eq!(sanitize(html), html);
        assert_eq!(sanitize("  plain words "), "plain words");
    }
}
