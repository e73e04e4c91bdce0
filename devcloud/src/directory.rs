//! The seeded directory: the tenants, the managed identities and the applications devcloud knows.
//!
//! Everything here is constant, so that a test or a script may write the values down. Keys and
//! certificates are not: they are made at every start and written to the state directory.

/// The tenant that the machine and its managed identities belong to, and where the applications are at home.
pub const TENANT_ID: &str = "7d3f0a52-8c1e-4b6a-9f27-5e0c4d1b8a63";
/// The tenant's other name; token requests may use either.
pub const TENANT_DOMAIN: &str = "devcloud.onmicrosoft.com";

/// Another tenant, with the applications and without the managed identities.
pub const OTHER_TENANT_ID: &str = "2c9a6e14-3f7b-4d58-b1a0-8e6d5c4b3a21";
/// The other tenant's other name.
pub const OTHER_TENANT_DOMAIN: &str = "other.onmicrosoft.com";
/// A third tenant, like the other one.
pub const THIRD_TENANT_ID: &str = "e5b81f37-6a2d-4c90-8d4e-1f0a9b8c7d65";
/// The third tenant's other name.
pub const THIRD_TENANT_DOMAIN: &str = "third.onmicrosoft.com";

/// The virtual machine whose IMDS this is.
pub const VM_ID: &str = "b7f3c2e1-5d64-4a4a-9c9c-1234567890ab";
/// The machine's Azure location.
pub const LOCATION: &str = "eastus";
/// Where `issuecredential` sends the owner of a certificate for tokens.
pub const MTLS_ENDPOINT: &str = "https://eastus.mtlsauth.microsoft.com";
/// Where a key may be attested.
pub const ATTESTATION_ENDPOINT: &str = "https://sharedeus.eus.attest.azure.net";
/// The `x-ms-attestation-type` of a report on TPM evidence.
pub(crate) const TPM_ATTESTATION: &str = "tpm";

/// Client id of the system-assigned managed identity.
pub const SYSTEM_ASSIGNED_CLIENT_ID: &str = "11111111-2222-4333-8444-555555555501";
/// Object id of the system-assigned managed identity.
pub const SYSTEM_ASSIGNED_OBJECT_ID: &str = "0b9ec5a1-7c43-4d0e-a2f5-000000000501";

/// Client id of the user-assigned managed identity.
pub const USER_ASSIGNED_CLIENT_ID: &str = "22222222-3333-4444-8555-666666666602";
/// Object id of the user-assigned managed identity.
pub const USER_ASSIGNED_OBJECT_ID: &str = "0b9ec5a1-7c43-4d0e-a2f5-000000000602";
/// ARM resource id of the user-assigned managed identity.
pub const USER_ASSIGNED_RESOURCE_ID: &str = "/subscriptions/5c1b0d3e-0000-4000-8000-00000000dc01/resourceGroups/devcloud/providers/Microsoft.ManagedIdentity/userAssignedIdentities/devcloud-uami";

/// Application A: an SN/I certificate and a secret.
pub const APP_A_CLIENT_ID: &str = "aaaaaaaa-0a0a-4a0a-8a0a-aaaaaaaaaa0a";
/// Object id of application A's service principal: the `sub` of its tokens.
pub const APP_A_OBJECT_ID: &str = "0b9ec5a1-7c43-4d0e-a2f5-00000000aaaa";
/// Application A's secret.
pub const APP_A_SECRET: &str = "devcloud~secret.of-app-A";
/// The subject name that application A trusts, from the SN/I issuer.
pub const APP_A_SUBJECT_NAME: &str = "app-a.devcloud.test";

/// Application B: federated identity credentials only.
pub const APP_B_CLIENT_ID: &str = "bbbbbbbb-0b0b-4b0b-8b0b-bbbbbbbbbb0b";
/// Object id of application B's service principal.
pub const APP_B_OBJECT_ID: &str = "0b9ec5a1-7c43-4d0e-a2f5-00000000bbbb";

/// The blueprint of agents: an application with the SN/I certificate of application A.
pub const BLUEPRINT_CLIENT_ID: &str = "cccccccc-0c0c-4c0c-8c0c-cccccccccc0c";
/// Object id of the blueprint's service principal.
pub const BLUEPRINT_OBJECT_ID: &str = "0b9ec5a1-7c43-4d0e-a2f5-00000000cccc";
/// An agent identity of that blueprint. It has no credential of its own.
pub const AGENT_CLIENT_ID: &str = "dddddddd-0d0d-4d0d-8d0d-dddddddddd0d";
/// Object id of the agent identity.
pub const AGENT_OBJECT_ID: &str = "0b9ec5a1-7c43-4d0e-a2f5-00000000dddd";
/// Another one of the same blueprint.
pub const OTHER_AGENT_CLIENT_ID: &str = "eeeeeeee-0e0e-4e0e-8e0e-eeeeeeeeee0e";
/// Object id of that one.
pub const OTHER_AGENT_OBJECT_ID: &str = "0b9ec5a1-7c43-4d0e-a2f5-00000000eeee";

/// The audience of federated assertions in the public cloud.
pub const FEDERATION_AUDIENCE: &str = "api://AzureADTokenExchange";
/// The audience of the tokens that a cluster with identity bindings gives its pods.
pub const IDENTITY_BINDING_AUDIENCE: &str = "api://AKSIdentityBinding";
/// What the token proxy of the cluster is called in TLS.
pub const TOKEN_PROXY_NAME: &str = "devcloud.ests.aks";
/// Those of the other clouds, and the domain below which their hosts are.
const FEDERATION_AUDIENCES: [(&str, &str); 7] = [
    (".microsoftonline.us", "api://AzureADTokenExchangeUSGov"),
    (".usgovcloudapi.net", "api://AzureADTokenExchangeUSGov"),
    (".partner.microsoftonline.cn", "api://AzureADTokenExchangeChina"),
    (".chinacloudapi.cn", "api://AzureADTokenExchangeChina"),
    (".sovcloud-identity.fr", "api://AzureADTokenExchangeFrance"),
    (".sovcloud-identity.de", "api://AzureADTokenExchangeGermany"),
    (".sovcloud-identity.sg", "api://AzureADTokenExchangeGovSG"),
];
/// Host of the federated issuer.
pub const FEDERATED_ISSUER_HOST: &str = "oidc.devcloud.test";
/// The federated issuer that application B trusts.
pub const FEDERATED_ISSUER: &str = "https://oidc.devcloud.test/";
/// The federated subject that application B trusts.
pub const FEDERATED_SUBJECT: &str = "workload:demo";
/// Subject name of the certificate in `fic-binding.pem`; no application trusts it by itself.
pub const FIC_BINDING_SUBJECT_NAME: &str = "fic-binding.devcloud.test";

/// Issuer name of the certificates that IMDS hands out.
pub const IMDS_ISSUER_NAME: &str = "managedidentitysnissuer.login.microsoft.com";
/// `iss` of the STS's tokens of the first tenant; those of another have its id in there.
pub const STS_ISSUER: &str = "https://login.microsoftonline.com/7d3f0a52-8c1e-4b6a-9f27-5e0c4d1b8a63/v2.0";

/// A tenant.
#[derive(Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: &'static str,
    /// Its other name.
    pub domain: &'static str,
}

/// A managed identity of the machine.
#[derive(Debug)]
pub struct ManagedIdentity {
    /// Client (application) id.
    pub client_id: &'static str,
    /// Object (principal) id.
    pub object_id: &'static str,
    /// ARM resource id, for a user-assigned identity.
    pub resource_id: Option<&'static str>,
    /// `SystemAssigned` or `UserAssigned`.
    pub kind: &'static str,
}

/// A confidential application; every tenant has it.
#[derive(Debug)]
pub struct App {
    /// Client (application) id.
    pub client_id: &'static str,
    /// Object id of the service principal.
    pub object_id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// The secret, if it has one.
    pub secret: Option<&'static str>,
    /// Subject name trusted with the SN/I issuer, if any.
    pub subject_name: Option<&'static str>,
    /// Federated identity credentials: pairs of issuer and subject.
    pub federated: &'static [(&'static str, &'static str)],
}

/// An agent identity of the machine's tenant. A token of its blueprint that names it is its credential.
#[derive(Debug)]
pub struct AgentIdentity {
    /// Client (application) id.
    pub client_id: &'static str,
    /// Object id of the service principal.
    pub object_id: &'static str,
    /// Client id of the blueprint.
    pub blueprint: &'static str,
}

/// Whoever may ask the STS for a token.
#[derive(Debug, Clone, Copy)]
pub enum Client {
    /// An application.
    App(&'static App),
    /// A managed identity.
    ManagedIdentity(&'static ManagedIdentity),
    /// An agent identity.
    Agent(&'static AgentIdentity),
}

/// The tenants; the first is the machine's.
pub static TENANTS: [Tenant; 3] = [
    Tenant { id: TENANT_ID, domain: TENANT_DOMAIN },
    Tenant { id: OTHER_TENANT_ID, domain: OTHER_TENANT_DOMAIN },
    Tenant { id: THIRD_TENANT_ID, domain: THIRD_TENANT_DOMAIN },
];

/// The machine's identities; the first is the system-assigned one.
pub static MANAGED_IDENTITIES: [ManagedIdentity; 2] = [
    ManagedIdentity {
        client_id: SYSTEM_ASSIGNED_CLIENT_ID,
        object_id: SYSTEM_ASSIGNED_OBJECT_ID,
        resource_id: None,
        kind: "SystemAssigned",
    },
    ManagedIdentity {
        client_id: USER_ASSIGNED_CLIENT_ID,
        object_id: USER_ASSIGNED_OBJECT_ID,
        resource_id: Some(USER_ASSIGNED_RESOURCE_ID),
        kind: "UserAssigned",
    },
];

/// The applications.
pub static APPS: [App; 3] = [
    App {
        client_id: APP_A_CLIENT_ID,
        object_id: APP_A_OBJECT_ID,
        name: "devcloud app A (SN/I)",
        secret: Some(APP_A_SECRET),
        subject_name: Some(APP_A_SUBJECT_NAME),
        federated: &[],
    },
    App {
        client_id: APP_B_CLIENT_ID,
        object_id: APP_B_OBJECT_ID,
        name: "devcloud app B (FIC)",
        secret: None,
        subject_name: None,
        federated: &[
            (FEDERATED_ISSUER, FEDERATED_SUBJECT),
            (STS_ISSUER, SYSTEM_ASSIGNED_OBJECT_ID),
            (STS_ISSUER, USER_ASSIGNED_OBJECT_ID),
            (STS_ISSUER, APP_A_OBJECT_ID),
        ],
    },
    App {
        client_id: BLUEPRINT_CLIENT_ID,
        object_id: BLUEPRINT_OBJECT_ID,
        name: "devcloud agent blueprint",
        secret: None,
        subject_name: Some(APP_A_SUBJECT_NAME),
        federated: &[],
    },
];

/// The agent identities.
pub static AGENT_IDENTITIES: [AgentIdentity; 2] = [
    AgentIdentity { client_id: AGENT_CLIENT_ID, object_id: AGENT_OBJECT_ID, blueprint: BLUEPRINT_CLIENT_ID },
    AgentIdentity {
        client_id: OTHER_AGENT_CLIENT_ID,
        object_id: OTHER_AGENT_OBJECT_ID,
        blueprint: BLUEPRINT_CLIENT_ID,
    },
];

/// Resources that tokens may be asked for.
pub const RESOURCES: [&str; 13] = [
    GRAPH_RESOURCE,
    VAULT_RESOURCE,
    MANAGED_HSM_RESOURCE,
    FEDERATION_AUDIENCE,
    "https://management.azure.com",
    "https://management.core.windows.net",
    STORAGE_RESOURCE,
    "https://database.windows.net",
    "https://servicebus.azure.net",
    "https://cognitiveservices.azure.com",
    "https://graph.microsoft.us",
    "https://dod-graph.microsoft.us",
    "https://microsoftgraph.chinacloudapi.cn",
];
/// Audience of Microsoft Graph.
pub const GRAPH_RESOURCE: &str = "https://graph.microsoft.com";
/// Audience of Azure Key Vault.
pub const VAULT_RESOURCE: &str = "https://vault.azure.net";
/// Audience of Blob Storage.
pub const STORAGE_RESOURCE: &str = "https://storage.azure.com";
/// Audience of Azure Key Vault Managed HSM.
pub const MANAGED_HSM_RESOURCE: &str = "https://managedhsm.azure.net";

impl Tenant {
    /// One of those that are there from the start, by its id or name.
    pub fn find(name: &str) -> Option<&'static Self> {
        TENANTS.iter().find(|tenant| tenant.is(name))
    }

    /// Whether it has this id or name.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.id.eq_ignore_ascii_case(name) || self.domain.eq_ignore_ascii_case(name)
    }

    /// The machine's tenant.
    pub fn home() -> &'static Self {
        &TENANTS[0]
    }

    /// `iss` of the tokens of version 1 for this tenant.
    pub fn issuer_of_v1(&self) -> String {
        format!("https://sts.windows.net/{}/", self.id)
    }

    /// `iss` of the tokens for this tenant.
    pub fn issuer(&self) -> String {
        STS_ISSUER.replace(TENANT_ID, self.id)
    }
}

impl Client {
    /// The client that has this client id in the tenant.
    pub fn find(tenant: &Tenant, client_id: &str) -> Option<Self> {
        let is = |known: &str| known.eq_ignore_ascii_case(client_id);
        let at_home = || {
            let managed = MANAGED_IDENTITIES.iter().find(|identity| is(identity.client_id));
            let agent = || AGENT_IDENTITIES.iter().find(|agent| is(agent.client_id)).map(Client::Agent);
            managed.map(Client::ManagedIdentity).or_else(agent)
        };
        let app = APPS.iter().find(|app| is(app.client_id)).map(Client::App);
        app.or_else(|| at_home().filter(|_| tenant == Tenant::home()))
    }

    /// The client's own client id.
    pub fn client_id(self) -> &'static str {
        match self {
            Client::App(app) => app.client_id,
            Client::Agent(agent) => agent.client_id,
            Client::ManagedIdentity(identity) => identity.client_id,
        }
    }

    /// Object id of the client's service principal.
    pub fn object_id(self) -> &'static str {
        match self {
            Client::App(app) => app.object_id,
            Client::Agent(agent) => agent.object_id,
            Client::ManagedIdentity(identity) => identity.object_id,
        }
    }

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Client::App(app) => app.name,
            Client::Agent(_) => "devcloud agent identity",
            Client::ManagedIdentity(identity) => identity.kind,
        }
    }
}

/// `sub` of a blueprint's token that names an agent identity by `fmi_path`, as Entra's have it but for the ids, which
/// are encoded there.
pub fn agent_subject(blueprint: &str, agent: &str) -> String {
    format!("/eid1/c/pub/t/{TENANT_ID}/a/{blueprint}/{agent}")
}

/// What federated credentials have as their audience in the cloud of this host.
pub fn federation_audience(host: &str) -> &'static str {
    let of_cloud = FEDERATION_AUDIENCES.iter().find(|(domain, _)| host.ends_with(domain));
    of_cloud.map_or(FEDERATION_AUDIENCE, |(_, audience)| audience)
}

/// The resource of Microsoft's that `name`, without a slash at its end, stands for.
pub fn resource(name: &str) -> Option<&'static str> {
    if name == "00000003-0000-0000-c000-000000000000" {
        return Some(GRAPH_RESOURCE);
    }
    RESOURCES.into_iter().find(|known| *known != FEDERATION_AUDIENCE && known.eq_ignore_ascii_case(name))
}

/// Whether `name` is the audience of federated assertions in some cloud, but for upper and lower case.
pub(crate) fn is_exchange(name: &str) -> bool {
    exchanges().any(|audience| audience.eq_ignore_ascii_case(name))
}

/// The audience of federated assertions that `name` is; upper and lower case count. Entra issues tokens for that of any cloud.
pub(crate) fn exchange(name: &str) -> Option<&'static str> {
    exchanges().find(|audience| *audience == name)
}

fn exchanges() -> impl Iterator<Item = &'static str> {
    FEDERATION_AUDIENCES.iter().map(|(_, audience)| *audience).chain([FEDERATION_AUDIENCE])
}
