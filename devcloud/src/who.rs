//! Finds out whose request it is, as far as that shows: tests that use one cloud at the same time are kept apart by it.

use std::collections::BTreeMap;

use crate::exchange::Request;
use crate::hosts::Service;
use crate::jwt::Token;
use crate::record::Who;
use crate::tenants::Tenants;

impl Who {
    /// Of a token request what path and form say, of a request to IMDS or the like the query, of a call of an API the token.
    pub(crate) fn of(request: &Request<'_>, tenants: &Tenants) -> Self {
        match request.connection.service {
            Service::Login | Service::Mtlsauth | Service::Authority | Service::TokenProxy => Who {
                tenant: request
                    .segments()
                    .iter()
                    .find_map(|segment| Some(tenants.find(segment)?.id.to_owned())),
                client_id: request.form().get("client_id").map(str::to_owned),
            },
            Service::Graph | Service::Vault | Service::Storage => Who::of_token(request.headers),
            _ => Who { tenant: None, client_id: request.query().get("client_id").map(str::to_owned) },
        }
    }

    /// What the token in these header fields says, good or not.
    pub(crate) fn of_token(headers: &BTreeMap<String, String>) -> Self {
        let token = headers.get("authorization").and_then(|value| value.split_once(' '));
        let Some(token) = token.and_then(|(_, token)| Token::parse(token.trim()).ok()) else {
            return Who::default();
        };
        Who {
            tenant: token.text("tid").map(str::to_owned),
            client_id: token.text("appid").or(token.text("azp")).map(str::to_owned),
        }
    }
}
