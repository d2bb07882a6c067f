"""The platform with its tasks in pods of a Kubernetes: `make kube-up`, `make kube-down`.

Modules:
    commands     what `kube-up` and `kube-down` do, step by step
    cluster      which cluster is used, and how it gets an image
    image        the name of the image of this checkout
    namespace    what is created in the namespace of the pods, and removed again
    shared_kube  a cluster that is started on this machine
"""
