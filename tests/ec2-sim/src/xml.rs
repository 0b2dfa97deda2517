//! Writes the XML answers of the EC2 query protocol.

use std::fmt::{self, Display, Write};

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// The inside of an answer, written element by element in document order.
#[derive(Debug, Default)]
pub(crate) struct Xml {
    out: String,
}

impl Xml {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// `<name>value</name>`, escaped.
    pub(crate) fn text(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.open(name);
        // Writing into a string cannot fail.
        let _ = write!(Escape(&mut self.out), "{value}");
        self.close(name)
    }

    /// As [`Xml::text`], or nothing at all without a value.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// An element with elements in it.
    pub(crate) fn block(&mut self, name: &str, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.open(name);
        inside(self);
        self.close(name)
    }

    /// `<name><item>…</item><item>…</item></name>`: EC2's form of a list.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.block(name, |xml| {
            for item in items {
                xml.block("item", |xml| each(xml, item));
            }
        })
    }

    /// A list whose items are plain text.
    pub(crate) fn texts<T: Display>(
        &mut self,
        name: &str,
        item: &str,
        values: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        self.block(name, |xml| {
            for value in values {
                xml.text(item, value);
            }
        })
    }

    /// The answer `<return>true</return>` of actions that have nothing to tell.
    pub(crate) fn done() -> Self {
        let mut xml = Self::new();
        xml.text("return", true);
        xml
    }

    /// The whole document of an answer to `action`.
    pub(crate) fn into_response(self, action: &str, request_id: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"{NAMESPACE}\">\
             <requestId>{request_id}</requestId>{}</{action}Response>",
            self.out
        )
    }

    fn open(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
    }

    fn close(&mut self, name: &str) -> &mut Self {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
        self
    }
}

/// The document of an error answer.
pub(crate) fn error_document(code: &str, message: &str, request_id: &str) -> String {
    let mut inner = Xml::new();
    inner.block("Errors", |xml| {
        xml.block("Error", |xml| {
            xml.text("Code", code).text("Message", message);
        });
    });
    inner.text("RequestID", request_id);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{}</Response>",
        inner.out
    )
}

/// Escapes what XML would read as markup. A carriage return is written as a reference because a
/// parser turns a bare one into a newline; characters that XML cannot hold become U+FFFD.
struct Escape<'a>(&'a mut String);

impl Write for Escape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\r' => self.0.push_str("&#xD;"),
                '\n' | '\t' => self.0.push(character),
                control if control.is_control() && control < '\u{20}' => self.0.push('\u{fffd}'),
                plain => self.0.push(plain),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_would_be_markup() {
        let mut xml = Xml::new();
        xml.text("value", "a<b>&\"c\"\r\n");
        assert_eq!(xml.out, "<value>a&lt;b&gt;&amp;&quot;c&quot;&#xD;\n</value>");
    }

    #[test]
    fn writes_lists_as_items() {
        let mut xml = Xml::new();
        xml.list("tagSet", ["a", "b"], |xml, key| {
            xml.text("key", key);
        });
        assert_eq!(
            xml.out,
            "<tagSet><item><key>a</key></item><item><key>b</key></item></tagSet>"
        );
    }
}
