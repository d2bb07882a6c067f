"""The platform with its tasks in pods of a Kubernetes: `make kube-up`, `make kube-down`.

Modules:
    commands       what `kube-up` and `kube-down` do, step by step
    cluster        a cluster, and how it gets an image
    cluster_tools  kind, k3d and minikube, which make a cluster on this machine
    image          the name of the image of this checkout
    namespace      what is created in the namespace of the pods, and removed again
"""
