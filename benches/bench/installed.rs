//! The library as `make install` puts it into place, loaded as a program loads it, and one app of it as C has it.

use std::ffi::{CString, c_char, c_void};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::{null, null_mut};

use devcloud::{Cloud, directory};

use crate::SCOPE;

/// Where it is: the place where the tests put it, too, so that it is not built for another.
pub(crate) fn prefix() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("installed")
}

pub(crate) fn library() -> PathBuf {
    prefix().join("lib/libmtlspop.so")
}

/// Builds and installs it.
pub(crate) fn install() {
    println!(
        "building the library as `make install` does: profile dist, some minutes where that was not done before"
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("scripts/install.sh"));
    let output = command.env("PREFIX", prefix()).env("STRIP", "1").output().expect("install.sh runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Compiles a program of benches/c against it.
pub(crate) fn compile(name: &str, directory: &Path, libraries: &[&str]) -> Result<PathBuf, String> {
    let (root, program) = (Path::new(env!("CARGO_MANIFEST_DIR")), directory.join(name));
    let mut command = Command::new(std::env::var("CC").unwrap_or("cc".into()));
    command.args(["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]);
    command.arg(&program).arg(root.join("benches/c").join(name).with_extension("c"));
    command.arg("-I").arg(prefix().join("include")).arg("-L").arg(prefix().join("lib")).arg("-lmtlspop");
    command.arg(format!("-Wl,-rpath,{}", prefix().join("lib").display())).args(libraries);
    let output = command.output().map_err(|error| format!("no C compiler: {error}"))?;
    match output.status.success() {
        true => Ok(program),
        false => Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()),
    }
}

type Handle = *mut c_void;

macro_rules! functions {
    ($($name:ident($($parameter:ty),*) $(-> $result:ty)?;)*) => {
        /// Its functions, by their names in the header without the prefix.
        #[derive(Clone, Copy)]
        pub(crate) struct Functions {
            $(pub(crate) $name: unsafe extern "C" fn($($parameter),*) $(-> $result)?,)*
        }

        impl Functions {
            /// Loads the library. It stays for the rest of the process.
            pub(crate) fn load() -> Self {
                // SAFETY: the library runs nothing when it is loaded.
                let library = unsafe { libloading::Library::new(library()) }.expect("the library");
                let library = Box::leak(Box::new(library));
                Self {
                    $($name: {
                        let name = concat!("mtlspop_", stringify!($name));
                        // SAFETY: the type is that of the header.
                        *unsafe { library.get(name.as_bytes()) }.expect(name)
                    },)*
                }
            }
        }
    };
}

functions! {
    app_options_new_confidential_client(*const c_char) -> Handle;
    app_options_set_authority(Handle, *const c_char);
    app_options_set_azure_region(Handle, *const c_char);
    app_options_set_certificate(Handle, Handle, i32);
    app_options_set_proxy(Handle, *const c_char);
    app_options_set_trusted_roots_file(Handle, *const c_char);
    app_options_free(Handle);
    certificate_new_from_file(*const c_char, *const c_char, *const c_char, *mut Handle, *mut Handle) -> i32;
    certificate_free(Handle);
    app_new(Handle, *mut Handle, *mut Handle) -> i32;
    app_free(Handle);
    token_request_new(*const c_char) -> Handle;
    token_request_set_mtls_proof_of_possession(Handle, i32);
    token_request_free(Handle);
    app_acquire_token(Handle, Handle, *mut Handle, *mut Handle) -> i32;
    token_access_token(Handle) -> *const c_char;
    token_free(Handle);
    http_request_new(*const c_char, *const c_char) -> Handle;
    app_send(Handle, Handle, Handle, *mut Handle, *mut Handle) -> i32;
    http_response_status(Handle) -> i32;
    http_response_free(Handle);
}

/// An SN/I app for bound tokens, and a request for one.
pub(crate) struct CApp {
    f: Functions,
    app: Handle,
    request: Handle,
    scope: CString,
}

/// What apps are made of.
pub(crate) struct COptions {
    f: Functions,
    options: Handle,
}

/// A request for the same kind of token, of another thread maybe.
pub(crate) struct CRequest {
    f: Functions,
    request: Handle,
}

// SAFETY: the header allows every handle on any thread, and calls with one at the same time.
unsafe impl Sync for CApp {}
// SAFETY: as above.
unsafe impl Send for CRequest {}
// SAFETY: as above.
unsafe impl Sync for CRequest {}

impl COptions {
    pub(crate) fn new(f: Functions, cloud: &Cloud) -> Self {
        let text = |text: &str| CString::new(text).expect("no NUL");
        let path = |path: PathBuf| text(path.to_str().expect("UTF-8"));
        let mut certificate = null_mut();
        // SAFETY: the functions are called as their header says.
        unsafe {
            let file = path(cloud.files().sni());
            let status = (f.certificate_new_from_file)(
                file.as_ptr(),
                null(),
                null(),
                &raw mut certificate,
                null_mut(),
            );
            assert_eq!(status, 0);
            let options = (f.app_options_new_confidential_client)(text(directory::APP_A_CLIENT_ID).as_ptr());
            let authority = text(&format!("https://login.microsoftonline.com/{}", directory::TENANT_ID));
            (f.app_options_set_authority)(options, authority.as_ptr());
            (f.app_options_set_azure_region)(options, text("eastus").as_ptr());
            (f.app_options_set_certificate)(options, certificate, 1);
            (f.app_options_set_proxy)(options, text(&cloud.proxy_url()).as_ptr());
            (f.app_options_set_trusted_roots_file)(options, path(cloud.ca_pem_path()).as_ptr());
            (f.certificate_free)(certificate);
            Self { f, options }
        }
    }

    /// Another app, which has nothing yet.
    pub(crate) fn app(&self) -> CApp {
        let (f, mut app, scope) = (self.f, null_mut(), CString::new(SCOPE).expect("no NUL"));
        // SAFETY: the functions are called as their header says.
        unsafe {
            assert_eq!((f.app_new)(self.options, &raw mut app, null_mut()), 0);
            CApp { f, app, request: request(f, &scope), scope }
        }
    }
}

/// A new request for a bound token.
fn request(f: Functions, scope: &CString) -> Handle {
    // SAFETY: the functions are called as their header says.
    unsafe {
        let request = (f.token_request_new)(scope.as_ptr());
        (f.token_request_set_mtls_proof_of_possession)(request, 1);
        request
    }
}

impl CApp {
    pub(crate) fn acquire(&self) {
        self.acquire_for(self.request);
    }

    pub(crate) fn acquire_and_read(&self) {
        let token = self.token(self.request);
        // SAFETY: the token is alive, and freed once.
        unsafe {
            black_box((self.f.token_access_token)(token));
            (self.f.token_free)(token);
        }
    }

    pub(crate) fn acquire_with_new_request(&self) {
        let request = request(self.f, &self.scope);
        self.acquire_for(request);
        // SAFETY: made above, freed once.
        unsafe { (self.f.token_request_free)(request) };
    }

    /// A request of its own for the same token.
    pub(crate) fn another_request(&self) -> CRequest {
        CRequest { f: self.f, request: request(self.f, &self.scope) }
    }

    /// A request for another token.
    pub(crate) fn request_for(&self, scope: &str) -> CRequest {
        CRequest { f: self.f, request: request(self.f, &CString::new(scope).expect("no NUL")) }
    }

    pub(crate) fn acquire_with(&self, request: &CRequest) {
        self.acquire_for(request.request);
    }

    /// Something that calls `url` with the app's token, again and again.
    pub(crate) fn caller(&self, url: &str) -> impl FnMut() + use<'_> {
        let text = |text: &str| CString::new(text).expect("no NUL");
        let (token, f, app) = (self.token(self.request), self.f, self.app);
        // SAFETY: the functions are called as their header says. Token and request live as long as the process.
        let call = unsafe { (f.http_request_new)(text("GET").as_ptr(), text(url).as_ptr()) };
        move || {
            let mut response = null_mut();
            // SAFETY: as above; the response is freed once.
            unsafe {
                assert_eq!((f.app_send)(app, token, call, &raw mut response, null_mut()), 0);
                assert_eq!((f.http_response_status)(response), 200);
                (f.http_response_free)(response);
            }
        }
    }

    fn acquire_for(&self, request: Handle) {
        let token = self.token(request);
        // SAFETY: the token is freed once.
        unsafe { (self.f.token_free)(token) };
    }

    fn token(&self, request: Handle) -> Handle {
        let mut token = null_mut();
        // SAFETY: the handles live as long as `self`.
        let status = unsafe { (self.f.app_acquire_token)(self.app, request, &raw mut token, null_mut()) };
        assert_eq!(status, 0);
        token
    }
}

impl Drop for CApp {
    fn drop(&mut self) {
        // SAFETY: freed once, and nobody uses them any more.
        unsafe {
            (self.f.token_request_free)(self.request);
            (self.f.app_free)(self.app);
        }
    }
}

impl Drop for COptions {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { (self.f.app_options_free)(self.options) };
    }
}

impl Drop for CRequest {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { (self.f.token_request_free)(self.request) };
    }
}
