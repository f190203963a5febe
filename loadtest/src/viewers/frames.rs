//! What viewers know of the protocol: where a message begins and ends, and the few fields that they check.

use memchr::memmem;

/// The number after a mark.
pub fn number(frame: &[u8], mark: &[u8]) -> Option<u64> {
    let start = memmem::find(frame, mark)? + mark.len();
    let digits = frame[start..].iter().take_while(|b| b.is_ascii_digit());
    Some(digits.fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

/// The text after a mark, up to the next quote.
pub fn text<'a>(frame: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let start = memmem::find(frame, mark)? + mark.len();
    let length = memchr::memchr(b'"', &frame[start..])?;
    Some(&frame[start..start + length])
}

/// The first whole WebSocket frame: its opcode, its payload, its length.
pub fn frame(buffer: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (first, second) = (*buffer.first()?, *buffer.get(1)?);
    let (length, head) = match second & 127 {
        126 => (u16::from_be_bytes(buffer.get(2..4)?.try_into().ok()?) as usize, 4),
        127 => (u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?) as usize, 10),
        short => (short as usize, 2),
    };
    Some((first & 15, buffer.get(head..head + length)?, head + length))
}

/// The first whole event, with whatever chunk framing stands before it; as a text frame.
pub fn event(buffer: &[u8]) -> Option<(u8, &[u8], usize)> {
    let end = memmem::find(buffer, b"\n\n")? + 2;
    let start = memmem::find(&buffer[..end], b"data: ").map_or(0, |at| at + 6);
    Some((1, &buffer[start..end], end))
}

/// A client's frame, masked by zeros.
pub fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}
