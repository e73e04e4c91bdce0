"""Gets a token with the DefaultAzureCredential of azure-identity, as a program in App Service would, and prints it."""

from azure.identity import DefaultAzureCredential

print(DefaultAzureCredential().get_token("https://graph.microsoft.com/.default").token)
