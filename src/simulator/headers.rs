//! Headers of requests of the contract: which must be there, and what quality they ask for.

use axum::http::HeaderMap;

use super::dash::Quality;

/// Values of the capability header.
const CAPABILITIES: [&str; 4] = ["STD_RES", "HI_FI", "HI_RES", "THREE_DIMENSIONAL"];

/// The value of a header.
pub fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// The best quality the capability header asks for.
pub fn quality(headers: &HeaderMap) -> Quality {
    let capability = text(headers, "x-amzn-audio-device-capability").unwrap_or_default();
    let asks = |word: &str| capability.split(',').any(|other| other.trim() == word);
    if asks("HI_RES") {
        Quality::Uhd
    } else if asks("HI_FI") {
        Quality::Hd
    } else {
        Quality::Sd
    }
}

/// What is wrong with the headers every request must carry.
pub fn missing(headers: &HeaderMap) -> Option<String> {
    match text(headers, "x-amzn-audio-drmtype").as_deref() {
        None => return Some("X-Amzn-Audio-DRMType is missing".to_owned()),
        Some("WIDEVINE") => {}
        Some(other) => return Some(format!("X-Amzn-Audio-DRMType is {other:?}, not WIDEVINE")),
    }
    let Some(capability) = text(headers, "x-amzn-audio-device-capability") else {
        return Some("X-Amzn-Audio-Device-Capability is missing".to_owned());
    };
    if let Some(unknown) = capability
        .split(',')
        .map(str::trim)
        .find(|word| !CAPABILITIES.contains(word))
    {
        return Some(format!("X-Amzn-Audio-Device-Capability has {unknown:?}"));
    }
    let device = text(headers, "x-amzn-device-id").unwrap_or_default();
    device
        .trim()
        .is_empty()
        .then(|| "X-Amzn-Device-Id is missing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn each_mandatory_header_is_missed_by_its_name() {
        let all = [
            ("x-amzn-audio-drmtype", "WIDEVINE"),
            ("x-amzn-audio-device-capability", "STD_RES, HI_FI"),
            ("x-amzn-device-id", "d"),
        ];
        assert_eq!(missing(&headers(&all)), None);
        for left_out in 0..all.len() {
            let mut some = all.to_vec();
            let (name, _) = some.remove(left_out);
            let wrong = missing(&headers(&some)).unwrap();
            assert!(wrong.to_lowercase().starts_with(name), "{wrong}");
        }
    }

    #[test]
    fn wrong_values_of_mandatory_headers_are_found() {
        let wrong_drm = [("x-amzn-audio-drmtype", "NONE")];
        assert!(missing(&headers(&wrong_drm)).unwrap().contains("not WIDEVINE"));
        let wrong_capability = [
            ("x-amzn-audio-drmtype", "WIDEVINE"),
            ("x-amzn-audio-device-capability", "LOUD"),
            ("x-amzn-device-id", "d"),
        ];
        assert!(missing(&headers(&wrong_capability)).unwrap().contains("LOUD"));
    }

    #[test]
    fn the_capability_header_decides_about_the_quality() {
        for (capability, expected) in [
            ("STD_RES", Quality::Sd),
            ("STD_RES, HI_FI", Quality::Hd),
            ("STD_RES,HI_FI,HI_RES", Quality::Uhd),
            ("THREE_DIMENSIONAL", Quality::Sd),
        ] {
            let given = headers(&[("x-amzn-audio-device-capability", capability)]);
            assert_eq!(quality(&given), expected, "{capability}");
        }
        assert_eq!(quality(&HeaderMap::new()), Quality::Sd);
    }
}
