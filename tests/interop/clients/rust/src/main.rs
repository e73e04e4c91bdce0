//! Gets a token as a program in App Service would, with azure_identity, and prints it.

use azure_core::credentials::TokenCredential as _;
use azure_identity::ManagedIdentityCredential;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let credential = ManagedIdentityCredential::new(None)?;
    let token = credential.get_token(&["https://graph.microsoft.com/.default"], None).await?;
    println!("{}", token.token.secret());
    Ok(())
}
