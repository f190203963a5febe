//! Frames of WebSocket clients as the meter sees them, beside the library's own reading of their heads.

use std::io::Cursor;

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Data, OpCode},
};

use crate::{
    limits::Rate,
    session::meter::{Meter, MeterLimits},
};

/// The first byte says how the rest is cut into pieces, which changes nothing.
pub(super) fn frames(data: &[u8]) {
    let [piece, rest @ ..] = data else { return };
    let limits = MeterLimits { frames: Rate::per_second(0), fragments: 100 };
    let (mut whole, mut cut) = (Meter::new(limits), Meter::new(limits));
    let now = Instant::now();
    whole.see(rest, now);
    for piece in rest.chunks(usize::from(*piece).max(1)) {
        cut.see(piece, now);
    }
    assert_eq!((whole.since(), whole.too_much()), (cut.since(), cut.too_much()), "how it is cut changes nothing");
    if let (Some(is_under_way), None) = (is_under_way(rest), whole.too_much()) {
        assert_eq!(whole.since().is_some(), is_under_way, "the library and the meter see the same frames");
    }
}

/// Whether these bytes end within a message, by the library; nothing if they are no frames, or their pieces are of no message.
fn is_under_way(bytes: &[u8]) -> Option<bool> {
    let mut at = Cursor::new(bytes);
    let mut is_joining = false;
    loop {
        let left = u64::try_from(bytes.len()).ok()?.checked_sub(at.position())?;
        if left == 0 {
            return Some(is_joining);
        }
        let Some((header, length)) = FrameHeader::parse(&mut at).ok()? else { return Some(true) };
        if let OpCode::Data(kind) = header.opcode {
            // A piece that continues nothing, or a message within another: the library ends the connection.
            if is_joining != matches!(kind, Data::Continue) {
                return None;
            }
            is_joining = !header.is_final;
        }
        let end = at.position().checked_add(length)?;
        if u64::try_from(bytes.len()).ok()? < end {
            return Some(true);
        }
        at.set_position(end);
    }
}
