"""The names of recipes, for a slip to be told before PyTorch, of which recipes are made, is imported.

A test compares them with ``RECIPES``.
"""

_NAMES = """
    moses molecules molecules-rae molecules-conv expressions characters tiny grae-molecules gvae-molecules
    gcvvae-molecules cvae-molecules grae-expressions gvae-expressions gcvvae-expressions cvae-expressions
    fast-grae-molecules fast-gvae-molecules fast-gcvvae-molecules fast-cvae-molecules fast-grae-expressions
    fast-gvae-expressions fast-gcvvae-expressions fast-cvae-expressions image-vae image-cv-vae image-wae
    image-2svae image-rae-gp image-rae-l2 image-rae-sn image-rae image-ae image-ae-l2 image-nc-0 image-nc-25
    image-nc-50 image-nc-100 mnist-vae mnist-cv-vae mnist-wae mnist-2svae mnist-rae-gp mnist-rae-l2 mnist-rae-sn
    mnist-rae mnist-ae mnist-ae-l2 cifar10-vae cifar10-cv-vae cifar10-wae cifar10-2svae cifar10-rae-gp
    cifar10-rae-l2 cifar10-rae-sn cifar10-rae cifar10-ae cifar10-ae-l2 celeba-vae celeba-cv-vae celeba-wae
    celeba-2svae celeba-rae-gp celeba-rae-l2 celeba-rae-sn celeba-rae celeba-ae celeba-ae-l2
"""

RECIPE_NAMES = tuple(_NAMES.split())
