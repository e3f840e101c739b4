"""What the gateway is compared with: other servers, each as its own documentation sets it up."""
