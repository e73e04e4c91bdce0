"""Acquires one Bearer token of the managed identity with MSAL for Python, as a program in App Service would, and prints it."""

import msal
import requests

client = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=requests.Session())
print(client.acquire_token_for_client(resource="https://graph.microsoft.com")["access_token"])
