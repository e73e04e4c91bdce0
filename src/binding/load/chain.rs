//! Which of the certificates given are the chain: from the one with the key to its root, by names, signatures and time.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::X509Certificate;

use super::malformed;
use super::name::Name;
use super::signature::{Verdict, signed_by};
use crate::binding::hex;
use crate::clock::unix_seconds;
use crate::error::Result;

/// More than any chain has. What is longer ends there.
const LONGEST_CHAIN: usize = 16;
/// What a file may cost, 100 µs or so each; an ordinary one costs two or three.
const MOST_SIGNATURES: usize = 256;
/// Of the certificates that are left out.
const MOST_NOTES: usize = 10;

/// The chain, and a note on each certificate that is not in it.
pub(super) struct Chosen<'a> {
    pub(super) chain: Vec<&'a X509Certificate<'a>>,
    pub(super) notes: Vec<String>,
}

/// The chain of `leaf`, which is one of `pool`, as far as it is in there. Of several issuers of one name it has
/// the one whose key made the signature; of several certificates of one issuer one that is valid at `now`,
/// and one that leads to a root before one that does not.
pub(super) fn choose<'a>(
    leaf: &'a X509Certificate<'a>,
    pool: &'a [X509Certificate<'a>],
    now: SystemTime,
) -> Result<Chosen<'a>> {
    let mut seen = HashSet::from([leaf.as_raw()]);
    let others = pool.iter().filter(|one| seen.insert(one.as_raw()));
    let candidates: Vec<_> = std::iter::once(leaf).chain(others).map(Candidate::from).collect();
    let mut by_subject: HashMap<_, Vec<_>> = HashMap::new();
    for (index, one) in candidates.iter().enumerate() {
        by_subject.entry(one.subject.clone()).or_default().push(index);
    }
    let mut search = Search {
        candidates,
        by_subject,
        now: unix_seconds(now),
        signatures: 0,
        visited: HashSet::from([0]),
        path: Vec::new(),
        best: Vec::new(),
    };
    search.walk(0)?;
    let chain = search.best.iter().map(|at| search.candidates[*at].certificate).collect();
    Ok(Chosen { chain, notes: search.notes() })
}

/// Whether it is valid at `now`, whether somebody else issued it, and how long it lasts: of several certificates for one
/// key the greatest is the one to use. A self-signed one beside it held its place until it was issued.
pub(super) fn usefulness(certificate: &X509Certificate<'_>, now: SystemTime) -> (bool, bool, i64) {
    let is_issued = certificate.subject().as_raw() != certificate.issuer().as_raw();
    (is_valid(certificate, unix_seconds(now)), is_issued, certificate.validity().not_after.timestamp())
}

struct Candidate<'a> {
    certificate: &'a X509Certificate<'a>,
    subject: Name,
    issuer: Name,
}

struct Search<'a> {
    /// The leaf is the first.
    candidates: Vec<Candidate<'a>>,
    by_subject: HashMap<Name, Vec<usize>>,
    now: i64,
    signatures: usize,
    /// What has been gone through does not become better on another way.
    visited: HashSet<usize>,
    path: Vec<usize>,
    best: Vec<usize>,
}

impl<'a> From<&'a X509Certificate<'a>> for Candidate<'a> {
    fn from(certificate: &'a X509Certificate<'a>) -> Self {
        Self { certificate, subject: certificate.subject().into(), issuer: certificate.issuer().into() }
    }
}

impl Search<'_> {
    /// Goes on from `at` towards a root. Whether there is one at the end.
    fn walk(&mut self, at: usize) -> Result<bool> {
        self.path.push(at);
        let is_root = self.candidates[at].issuer == self.candidates[at].subject
            && self.verdict(at, at)? != Verdict::Bad;
        if is_root || self.path.len() > self.best.len() {
            self.best.clone_from(&self.path);
        }
        let found = is_root || (self.path.len() < LONGEST_CHAIN && self.walk_issuers(at)?);
        self.path.pop();
        Ok(found)
    }

    fn walk_issuers(&mut self, at: usize) -> Result<bool> {
        let mut issuers = self.by_subject.get(&self.candidates[at].issuer).cloned().unwrap_or_default();
        issuers.retain(|one| !self.path.contains(one));
        issuers.sort_by_cached_key(|one| Reverse(self.rank(at, *one)));
        let verdicts = issuers.iter().map(|one| self.verdict(at, *one)).collect::<Result<Vec<_>>>()?;
        // A signature that cannot be judged counts where none is good.
        let wanted = if verdicts.contains(&Verdict::Good) { Verdict::Good } else { Verdict::Unknown };
        let mut verdicts = verdicts.into_iter();
        issuers.retain(|_| verdicts.next() == Some(wanted));
        if issuers.iter().any(|one| self.is_valid(*one)) {
            issuers.retain(|one| self.is_valid(*one));
        }
        for one in issuers {
            if self.visited.insert(one) && self.walk(one)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The greatest is gone to first.
    fn rank(&self, at: usize, issuer: usize) -> (i8, bool, i64) {
        let (certificate, issuer) = (self.candidates[at].certificate, &self.candidates[issuer]);
        let identifiers = match key_identifiers_agree(certificate, issuer.certificate) {
            Some(true) => 1,
            None => 0,
            Some(false) => -1,
        };
        let end = issuer.certificate.validity().not_after.timestamp();
        (identifiers, issuer.issuer == issuer.subject, end)
    }

    fn is_valid(&self, at: usize) -> bool {
        is_valid(self.candidates[at].certificate, self.now)
    }

    fn verdict(&mut self, at: usize, issuer: usize) -> Result<Verdict> {
        self.signatures += 1;
        if self.signatures > MOST_SIGNATURES {
            return Err(malformed(format!(
                "there are too many certificates with the names of issuers in it (more than {MOST_SIGNATURES} \
                 signatures to verify), give only those of the chain"
            )));
        }
        Ok(signed_by(self.candidates[at].certificate, self.candidates[issuer].certificate))
    }

    /// Without the names in them: they are for logs, and may be those of persons.
    fn notes(&self) -> Vec<String> {
        let chain: HashSet<_> = self.best.iter().copied().collect();
        let issuers: HashSet<_> = chain.iter().map(|at| &self.candidates[*at].issuer).collect();
        let leaf = self.candidates[0].certificate;
        let left_out: Vec<_> = (0..self.candidates.len()).filter(|at| !chain.contains(at)).collect();
        let mut notes: Vec<_> = left_out
            .iter()
            .take(MOST_NOTES)
            .map(|at| {
                let Candidate { certificate: one, subject, .. } = &self.candidates[*at];
                let why = if !is_valid(one, self.now) {
                    "it has expired or is not valid yet"
                } else if one.public_key().raw == leaf.public_key().raw {
                    "another one for the same key is used"
                } else if issuers.contains(subject) {
                    "it has the name of an issuer, but its key made no signature there, or another one for it is used"
                } else {
                    "it has issued none of the chain"
                };
                let sha1 = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, one.as_raw()).as_ref());
                format!("the certificate with the SHA-1 thumbprint {sha1} is left out of the chain: {why}")
            })
            .collect();
        if left_out.len() > MOST_NOTES {
            notes
                .push(format!("{} more certificates are left out of the chain", left_out.len() - MOST_NOTES));
        }
        notes
    }
}

fn is_valid(certificate: &X509Certificate<'_>, now: i64) -> bool {
    let validity = certificate.validity();
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now)
}

/// `None` where one of them has none.
fn key_identifiers_agree(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Option<bool> {
    let wanted = certificate.extensions().iter().find_map(|e| match e.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref(),
        _ => None,
    });
    let found = issuer.extensions().iter().find_map(|e| match e.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id),
        _ => None,
    });
    Some(wanted? == found?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
    use x509_parser::prelude::FromDer;

    use super::*;
    use crate::clock::from_unix_seconds;

    /// The certificate of `subject` with `key`, issued by `issuer` with its key, good for these years.
    fn issue(subject: &str, key: &KeyPair, issuer: &str, by: &KeyPair, years: (i32, i32)) -> Vec<u8> {
        let params = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.not_before = date_time_ymd(years.0, 1, 1);
            params.not_after = date_time_ymd(years.1, 1, 1);
            params
        };
        params(subject).signed_by(key, &Issuer::new(params(issuer), by)).unwrap().der().to_vec()
    }

    fn year(year: i32) -> SystemTime {
        from_unix_seconds(date_time_ymd(year, 6, 1).unix_timestamp())
    }

    fn parsed(ders: &[Vec<u8>]) -> Vec<X509Certificate<'_>> {
        ders.iter().map(|der| X509Certificate::from_der(der).unwrap().1).collect()
    }

    /// Does the clock decide between two certificates of one issuer, and of the leaf itself?
    #[test]
    fn the_time_decides() {
        let (key, ca) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let ders = [
            issue("leaf", &key, "ca", &ca, (2000, 2080)),
            issue("ca", &ca, "ca", &ca, (2000, 2020)),
            issue("ca", &ca, "ca", &ca, (2019, 2040)),
        ];
        let pool = parsed(&ders);
        for (now, wanted) in [(2010, 1), (2030, 2), (2019, 2), (2050, 2)] {
            let chosen = choose(&pool[0], &pool, year(now)).unwrap();
            let chain: Vec<_> = chosen.chain.iter().map(|one| one.as_raw()).collect();
            assert_eq!(chain, [&ders[0], &ders[wanted]], "{now}");
            assert_eq!(chosen.notes.len(), 1, "{now}");
        }
        let best = |now| (1..3).max_by_key(|at| usefulness(&pool[*at], year(now))).unwrap();
        assert_eq!([best(2010), best(2019), best(2030), best(2050)], [1, 2, 2, 2]);
    }

    /// Is a self-signed certificate left for one of the same key that was issued, unless only that is valid?
    #[test]
    fn an_issued_certificate_comes_first() {
        let (key, ca) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let ders =
            [issue("leaf", &key, "leaf", &key, (2000, 2080)), issue("leaf", &key, "ca", &ca, (2000, 2040))];
        let pool = parsed(&ders);
        let best = |now| (0..2).max_by_key(|at| usefulness(&pool[*at], year(now))).unwrap();
        assert_eq!([best(2030), best(2050)], [1, 0]);
    }

    /// Does the search end where many authorities have certified each other, and no root is there?
    #[test]
    fn a_mesh_of_authorities_ends() {
        let keys: Vec<_> = (0..10).map(|_| KeyPair::generate().unwrap()).collect();
        let name = |at: usize| format!("ca {at}");
        let mut ders = vec![issue("leaf", &keys[0], &name(1), &keys[1], (2000, 2080))];
        for (at, key) in keys.iter().enumerate() {
            for (by, issuer) in keys.iter().enumerate().filter(|(by, _)| *by != at) {
                ders.push(issue(&name(at), key, &name(by), issuer, (2000, 2080)));
            }
        }
        let pool = parsed(&ders);
        match choose(&pool[0], &pool, year(2030)) {
            Ok(chosen) => assert!(chosen.chain.len() <= LONGEST_CHAIN, "{}", chosen.chain.len()),
            Err(error) => assert!(error.message().contains("too many certificates"), "{error}"),
        }
        // With a root among them, the chain leads there.
        ders.push(issue(&name(5), &keys[5], &name(5), &keys[5], (2000, 2080)));
        let pool = parsed(&ders);
        let chosen = choose(&pool[0], &pool, year(2030)).unwrap();
        assert_eq!(chosen.chain.last().unwrap().as_raw(), ders.last().unwrap());
    }
}
