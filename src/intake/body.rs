//! A request's body: read within its bounds, unpacked within the same bounds.

use std::io::Read;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::accept::failure;

/// Packed bodies larger than this are unpacked beside the runtime's workers.
const SMALL: usize = 64 << 10;

/// The body as the sender meant it.
pub async fn read(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, Response> {
    let too_large = || failure(StatusCode::PAYLOAD_TOO_LARGE, &format!("the request is larger than {most} bytes"));
    let bytes = axum::body::to_bytes(body, most).await.map_err(|error| {
        let is_cut = std::error::Error::source(&error).is_none_or(|e| !e.to_string().contains("limit"));
        if is_cut { failure(StatusCode::BAD_REQUEST, "the request was cut") } else { too_large() }
    })?;
    let packed = headers.get(header::CONTENT_ENCODING).map(|v| v.as_bytes().to_ascii_lowercase());
    let unpack: fn(Bytes, usize) -> Option<Vec<u8>> = match packed.as_deref() {
        None | Some(b"" | b"identity") => return Ok(bytes),
        Some(b"gzip" | b"x-gzip") => |bytes, most| bounded(flate2::read::MultiGzDecoder::new(&*bytes), most),
        Some(b"deflate") => |bytes, most| bounded(flate2::read::ZlibDecoder::new(&*bytes), most),
        Some(_) => return Err(failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content encodings taken: gzip, deflate")),
    };
    let unpacked = if bytes.len() < SMALL {
        unpack(bytes, most)
    } else {
        tokio::task::spawn_blocking(move || unpack(bytes, most)).await.ok().flatten()
    };
    match unpacked {
        None => Err(failure(StatusCode::BAD_REQUEST, "the body is not what its content encoding says")),
        Some(unpacked) if unpacked.len() > most => Err(too_large()),
        Some(unpacked) => Ok(unpacked.into()),
    }
}

/// Reads one byte more than allowed, so that a bomb costs no more than that.
fn bounded(from: impl Read, most: usize) -> Option<Vec<u8>> {
    let mut unpacked = Vec::new();
    from.take(most as u64 + 1).read_to_end(&mut unpacked).ok()?;
    Some(unpacked)
}
