//! Where in a trace something happened: the ids of W3C Trace Context, and nothing that has to do with how they are exported.

/// A span of a trace that is followed. What is not followed has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
}

impl TraceContext {
    /// How long its binary form is.
    pub const BYTES: usize = 24;

    /// The context that the header `traceparent` names, and whether whoever sent it follows the trace. Nothing if it is not of the
    /// form `00-32 hexadecimal digits-16 of them-2 of them`; a later version may have more behind it.
    pub fn of_header(text: &str) -> Option<(Self, bool)> {
        let (version, rest) = text.trim().split_at_checked(3)?;
        let (ids, more) = rest.split_at_checked(52)?;
        let version = u8::from_str_radix(lower(version.strip_suffix('-')?)?, 16).ok()?;
        let fits = version != u8::MAX && if version == 0 { more.is_empty() } else { more.is_empty() || more.starts_with('-') };
        let mut parts = ids.split('-');
        let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
        let trace: [u8; 16] = digits(trace)?;
        let span: [u8; 8] = digits(span)?;
        let [flags]: [u8; 1] = digits(flags)?;
        let names = trace != [0; 16] && span != [0; 8];
        (fits && names && parts.next().is_none()).then_some((Self { trace, span }, flags & 1 == 1))
    }

    /// Its binary form.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.trace);
        bytes[16..].copy_from_slice(&self.span);
        bytes
    }

    /// What [`TraceContext::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (trace, span) = bytes.split_at_checked(16)?;
        Some(Self { trace: trace.try_into().ok()?, span: span.try_into().ok()? })
    }
}

/// Hexadecimal digits as the standard has them: in lower case.
fn lower(text: &str) -> Option<&str> {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some(text)
}

fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = lower(text).filter(|text| text.len() == 2 * N)?;
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_a_trace_or_nothing() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let (context, followed) = TraceContext::of_header(good).expect("valid");
        assert_eq!((context.trace[0], context.span[7], followed), (0x0a, 0x31, true));
        assert_eq!(TraceContext::from_bytes(&context.to_bytes()), Some(context));
        assert!(!TraceContext::of_header(&good.replace("-01", "-00")).expect("valid").1);
        for later in [good.replacen("00", "01", 1), format!("{}-more", good.replacen("00", "42", 1))] {
            assert_eq!(TraceContext::of_header(&later), Some((context, true)), "{later}");
        }
        for bad in [
            "",
            "00",
            "00-",
            &good[1..],
            &good[..54],
            &format!("{good}-more"),
            &good.to_uppercase(),
            &good.replacen("00", "ff", 1),
            &good.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &good.replace("b7ad6b7169203331", &"0".repeat(16)),
            &good.replace('-', "_"),
            "00-é7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::of_header(bad), None, "{bad:?}");
        }
        assert_eq!(TraceContext::from_bytes(&[1; 23]), None);
    }
}
