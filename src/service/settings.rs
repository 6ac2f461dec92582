//! What the client needs to know: where, who and how - and the headers made of it. It asks nobody.

use std::sync::Arc;

use thiserror::Error;
use ureq::http::{HeaderMap, HeaderValue, header};

use super::base::BaseUrlError;
use super::credentials::Credentials;
use super::model::Quality;
use super::wire;
use crate::tls::Tls;

/// Where the service is, and who asks.
#[derive(Clone)]
pub struct Settings {
    /// Base address; `https`, or `http` on a loopback host.
    pub base_url: String,
    /// Unique and stable per device.
    pub device_id: String,
    /// What the board can play; empty counts as standard quality.
    pub qualities: Vec<Quality>,
    /// Security profile of the application, if the service asks for one.
    pub api_key: Option<String>,
    /// Languages the listener reads (`de-DE`), for the service's own words; `None` leaves it to the account.
    pub language: Option<String>,
    /// Path that takes several events at once; `None`: each is sent alone.
    pub event_batch_path: Option<String>,
    /// How connections are encrypted.
    pub tls: Tls,
    /// Access tokens.
    pub credentials: Arc<dyn Credentials>,
}

/// Why the client cannot be started.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The base address.
    #[error("configure the service")]
    BaseUrl(#[from] BaseUrlError),
    /// A value that cannot be sent.
    #[error("configure the service: {0} is empty or holds characters that a header cannot carry")]
    Header(&'static str),
    /// No thread to be had.
    #[error("start the service thread")]
    Thread(#[source] std::io::Error),
}

/// The headers of every request that never change.
pub fn fixed_headers(settings: &Settings) -> Result<HeaderMap, ServiceError> {
    let qualities = match settings.qualities.as_slice() {
        [] => &[Quality::Standard],
        some => some,
    };
    let words: Vec<&str> = qualities.iter().map(|quality| wire::capability(*quality)).collect();
    let value = |what: &'static str, text: &str| {
        let text = Some(text.trim())
            .filter(|text| !text.is_empty())
            .ok_or(ServiceError::Header(what))?;
        HeaderValue::from_str(text).map_err(|_| ServiceError::Header(what))
    };
    let mut headers = HeaderMap::new();
    let (drm, drm_value) = wire::HEADER_DRM;
    headers.insert(drm, HeaderValue::from_static(drm_value));
    headers.insert(
        wire::HEADER_CAPABILITY,
        value("the list of qualities", &words.join(","))?,
    );
    headers.insert(wire::HEADER_DEVICE, value("the device id", &settings.device_id)?);
    if let Some(key) = &settings.api_key {
        let mut key = value("the api key", key)?;
        key.set_sensitive(true);
        headers.insert(wire::HEADER_API_KEY, key);
    }
    if let Some(language) = &settings.language {
        headers.insert(header::ACCEPT_LANGUAGE, value("the language", language)?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::settings;
    use super::*;

    #[test]
    fn settings_that_cannot_be_sent_are_refused_with_their_name() {
        let base = || settings("https://host".into());
        let refusal = |settings: Settings| fixed_headers(&settings).unwrap_err().to_string();
        for device_id in [" ", "a\nb"] {
            let settings = Settings {
                device_id: device_id.into(),
                ..base()
            };
            assert!(refusal(settings).contains("device id"), "{device_id:?}");
        }
        let settings = Settings {
            api_key: Some("\u{1}".into()),
            ..base()
        };
        assert!(refusal(settings).contains("api key"));
        assert!(fixed_headers(&base()).is_ok());
    }

    #[test]
    fn a_board_without_qualities_plays_standard_quality() {
        let settings = Settings {
            qualities: Vec::new(),
            ..settings("https://host".into())
        };
        let headers = fixed_headers(&settings).unwrap();
        assert_eq!(headers.get(wire::HEADER_CAPABILITY).unwrap(), "STD_RES");
    }
}
