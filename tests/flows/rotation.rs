//! A certificate that is replaced under load, by the provider: no call fails, and the old one goes for good.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use devcloud::Service;
use mtlspop::{
    App, AssertionRequest, Certificate, CertificateProvider, Credential, HttpRequest, Result, Token,
    TokenRequest, TokenSource,
};

use crate::support::{World, assert_bound, bearer, claims, pop, wait_for};

const THREADS: usize = 32;
const ROUNDS: usize = 12;
const RESOURCES: [&str; 3] =
    ["https://graph.microsoft.com", "https://vault.azure.net", "https://storage.azure.com"];

/// The certificate of the app as it is now, and how often somebody wanted to know.
struct Current {
    certificate: Mutex<Certificate>,
    asked: AtomicU64,
}

impl CertificateProvider for Current {
    fn certificate(&self, _: &AssertionRequest<'_>) -> Result<Certificate> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.certificate.lock().unwrap().clone())
    }
}

impl Current {
    fn new(certificate: Certificate) -> Arc<Self> {
        Arc::new(Self { certificate: Mutex::new(certificate), asked: AtomicU64::new(0) })
    }

    fn replace(&self, certificate: Certificate) {
        let old = std::mem::replace(&mut *self.certificate.lock().unwrap(), certificate);
        drop(old);
    }

    fn app(self: &Arc<Self>, world: &World) -> App {
        let credential = Credential::CertificateProvider { provider: self.clone(), send_x5c: true };
        App::new(world.app_a_options(credential)).unwrap()
    }
}

fn load(world: &World, rotated: bool) -> Certificate {
    let files = world.cloud.files();
    let file = if rotated { files.sni_rotated() } else { files.sni() };
    Certificate::from_file(&file, None, None).unwrap()
}

fn request(resource: &str, bound: bool) -> TokenRequest {
    let scope = format!("{resource}/.default");
    if bound { pop(&scope) } else { bearer(&scope) }
}

/// Every request that the threads make, in turns that differ from thread to thread.
fn turn(thread: usize, round: usize) -> (&'static str, bool, bool) {
    let number = thread * 7 + round;
    (RESOURCES[number % 3], number.is_multiple_of(2), number.is_multiple_of(5))
}

fn use_token(app: &App, token: &Token) {
    let graph = HttpRequest::new("GET", "https://graph.microsoft.com/v1.0/me");
    let response = app.send(token, &graph).unwrap();
    assert_eq!(response.status(), 200, "{}", String::from_utf8_lossy(response.body()));
}

/// A certificate that rotates while 32 threads ask for tokens and use them: does no call fail, is each
/// token used with the certificate it is bound to, and is the provider asked once per network call and
/// never on a hit (the design's table, row "assertion callback")? Graph compares `cnf` with TLS.
#[test]
fn under_load() {
    let world = World::new();
    let (old, new) = (load(&world, false), load(&world, true));
    let current = Current::new(old.clone());
    let app = current.app(&world);
    let (start, replaced, rotated) = (Barrier::new(THREADS), Barrier::new(THREADS), AtomicBool::new(false));
    let (fetched, bound_to_new) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (app, current, new) = (&app, &current, &new);
            let (start, replaced, rotated) = (&start, &replaced, &rotated);
            let (fetched, bound_to_new, old) = (&fetched, &bound_to_new, &old);
            scope.spawn(move || {
                start.wait();
                for round in 0..ROUNDS {
                    // One of them replaces it, in the midst of the others.
                    if round == ROUNDS / 3 && thread == THREADS / 2 {
                        current.replace(new.clone());
                        rotated.store(true, Ordering::SeqCst);
                    }
                    // From here on everybody knows.
                    if round == ROUNDS * 2 / 3 {
                        replaced.wait();
                    }
                    let (resource, bound, force) = turn(thread, round);
                    let after = rotated.load(Ordering::SeqCst);
                    let token =
                        app.acquire_token(&request(resource, bound).with_force_refresh(force)).unwrap();
                    let ours = token.source() == TokenSource::IdentityProvider;
                    fetched.fetch_add(u64::from(ours), Ordering::SeqCst);
                    assert_eq!(claims(&token)["aud"], resource);
                    if bound {
                        let x5t = assert_bound(&token);
                        assert!([old, new].iter().any(|certificate| certificate.x5t_s256() == x5t));
                        if after && ours {
                            assert_eq!(x5t, new.x5t_s256(), "asked after the rotation");
                            bound_to_new.fetch_add(1, Ordering::SeqCst);
                        }
                    } else {
                        assert!(token.binding_certificate().is_none());
                    }
                    if resource == RESOURCES[0] {
                        use_token(app, &token);
                    }
                }
            });
        }
    });
    let on_the_wire = world.cloud.counter("token");
    assert_eq!(current.asked.load(Ordering::SeqCst), on_the_wire);
    assert_eq!(fetched.load(Ordering::SeqCst), on_the_wire);
    assert!(bound_to_new.load(Ordering::SeqCst) > 0);
    let refused: Vec<_> = world.cloud.requests().into_iter().filter(|r| r.status != Some(200)).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let graph = world.cloud.requests_to(Service::Graph);
    for certificate in [&old, &new] {
        let of = |c: &Certificate| Some(c.x5t_s256().to_owned());
        assert!(graph.iter().any(|request| request.client_certificate == of(certificate)));
    }
}

/// Are the connections of the old certificate closed once nothing refers to it, and not before (design,
/// decision 2)? Its tokens in the cache are the last that do.
#[test]
fn the_old_pool_is_closed() {
    let world = World::new();
    let current = Current::new(load(&world, false));
    let app = current.app(&world);
    let (old, new) = (load(&world, false).x5t_s256().to_owned(), load(&world, true));
    let requests = RESOURCES.map(|resource| request(resource, true));
    let mut tokens: Vec<_> = requests.iter().map(|r| app.acquire_token(r).unwrap()).collect();
    use_token(&app, &tokens[0]);
    assert!(world.cloud.open_connections(&old) > 0);

    current.replace(new.clone());
    for request in &requests {
        let hit = app.acquire_token(request).unwrap();
        assert_eq!((hit.source(), assert_bound(&hit)), (TokenSource::Cache, old.clone()));
    }
    for request in &requests {
        let token = app.acquire_token(&request.clone().with_force_refresh(true)).unwrap();
        assert_eq!(assert_bound(&token), new.x5t_s256());
    }
    // A token that the program still holds is as good as it was.
    use_token(&app, &tokens[0]);
    assert!(world.cloud.open_connections(&old) > 0);
    let before = world.cloud.counter("connections");
    use_token(&app, &tokens[0]);
    assert_eq!(world.cloud.counter("connections"), before);

    tokens.clear();
    wait_for(|| world.cloud.open_connections(&old) == 0);
    assert!(world.cloud.open_connections(new.x5t_s256()) > 0);
    assert_eq!(current.asked.load(Ordering::SeqCst), world.cloud.counter("token"));
}
