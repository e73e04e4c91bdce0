//! Federated identity credentials: assertions that somebody else signed.

use super::asked::{Sts, TokenRequest};
use super::binding::Binding;
use super::refusal::{Refusal, malformed, malformed_assertion};
use crate::clock;
use crate::directory::{
    Client, FEDERATED_ISSUER, FEDERATED_SUBJECT, IDENTITY_BINDING_AUDIENCE, STS_ISSUER, agent_subject,
    federation_audience,
};
use crate::jwt::Token;

/// Clocks may differ by this.
const SKEW: i64 = 300;

/// `pop` says that the assertion came as jwt-pop: it must be bound to the certificate of the connection.
pub(crate) fn judge(
    sts: &Sts,
    asked: &TokenRequest<'_>,
    assertion: &str,
    binding: Option<&Binding<'_>>,
    pop: bool,
) -> Result<(), Refusal> {
    let token = Token::parse(assertion).map_err(malformed_assertion)?;
    let no_record = |code, what: &str, claim: &str| {
        let text = format!(
            "No matching federated identity record found for presented assertion {what} '{}'. Check your federated \
             identity credential Subject, Audience and Issuer against the presented assertion.",
            token.text(claim).unwrap_or_default()
        );
        Refusal::new("invalid_client", code, text)
    };
    let issuer = token.text("iss").unwrap_or_default();
    let key = match issuer {
        FEDERATED_ISSUER => &sts.federated_key,
        STS_ISSUER => &sts.key,
        _ => return Err(no_record(700211, "issuer", "iss")),
    };
    if !key.signed(&token) {
        let text = "Assertion failed signature validation. [Reason - The key was not found in the issuer's key set, or the signature is wrong.]";
        return Err(Refusal::new("invalid_client", 50013, text));
    }
    let subject = token.text("sub").unwrap_or_default();
    let of_blueprint;
    // Bound to the pods of the cluster is the user-assigned managed identity, and no application.
    let federated = match asked.client {
        Client::App(app) if !asked.in_cluster => app.federated.to_vec(),
        Client::ManagedIdentity(identity) if asked.in_cluster && identity.resource_id.is_some() => {
            vec![(FEDERATED_ISSUER, FEDERATED_SUBJECT)]
        }
        Client::Agent(agent) if !asked.in_cluster => {
            of_blueprint = agent_subject(agent.blueprint, agent.client_id);
            vec![(STS_ISSUER, of_blueprint.as_str())]
        }
        _ => Vec::new(),
    };
    if !federated.iter().any(|(known, _)| *known == issuer) {
        return Err(no_record(700211, "issuer", "iss"));
    }
    if !federated.contains(&(issuer, subject)) {
        return Err(no_record(700213, "subject", "sub"));
    }
    let audience = match asked.in_cluster {
        true => IDENTITY_BINDING_AUDIENCE,
        false => federation_audience(asked.host),
    };
    if token.text("aud") != Some(audience) {
        // Both numbers have been seen: the longer one with a token of Entra's own that was for another cloud.
        let code = if issuer == STS_ISSUER { 70022204 } else { 700212 };
        return Err(no_record(code, "audience", "aud"));
    }
    judge_dates(sts, &token)?;
    judge_binding(&token, binding, pop)
}

fn judge_dates(sts: &Sts, token: &Token) -> Result<(), Refusal> {
    let to =
        token.date("exp").ok_or_else(|| malformed_assertion("exp is missing or no number".to_owned()))?;
    let from = token.date("nbf").unwrap_or(i64::MIN);
    let now = sts.clock.now();
    if now - SKEW > to || now.saturating_add(SKEW) < from {
        let text = format!(
            "Client assertion is not within its valid time range. Current time: {}, expiry time of assertion {}.",
            clock::text(now),
            clock::text(to)
        );
        return Err(Refusal::new("invalid_client", 700024, text));
    }
    Ok(())
}

/// A bound assertion is worth something only as jwt-pop, and on a connection of its certificate.
fn judge_binding(token: &Token, binding: Option<&Binding<'_>>, pop: bool) -> Result<(), Refusal> {
    match (token.bound_to(), binding) {
        (Some(bound_to), Some(binding)) if pop => {
            if bound_to == binding.thumbprint {
                return Ok(());
            }
            let text = format!(
                "The assertion is bound to the certificate {bound_to}, the TLS connection has {}.",
                binding.thumbprint
            );
            Err(Refusal::new("invalid_client", 500181, text))
        }
        (Some(_), _) => Err(malformed(
            "The assertion is bound to a certificate; it needs the mtlsauth endpoint and jwt-pop.",
        )),
        (None, _) if pop => Err(malformed("A client_assertion of type jwt-pop must have cnf with x5t#S256.")),
        (None, _) => Ok(()),
    }
}
