"""Networks that ship trained: their weights lie beside the record of the run that made them."""

from resnet_lessons import models, results

from .folder import WEIGHTS, RunFolder


def trained(spec, data="cifar10"):
    """Return the network ``spec`` with the weights of a recorded run.

    Args:
        spec: the network.
        data: the name of the data set it was trained on, such as a ``data.Dataset`` has: "cifar10" or "shapes10".

    Returns:
        A keras.Model, float32, as ``models.build`` makes it.

    Raises:
        ValueError: if no recorded run of this network on this data set ships its weights; the message
            names those that do.
    """
    shipped = [record for record in results.load() if (results.RECORDED / record.name / WEIGHTS).exists()]
    for record in shipped:
        if (record.spec, record.data["name"]) == (spec, data):
            model = models.build(spec)
            RunFolder(results.RECORDED / record.name).load_weights(model)
            return model
    names = ", ".join(f"{record.spec.name} on {record.data['name']}" for record in shipped) or "none"
    raise ValueError(f"There are no trained weights of {spec.name} on {data}. Those that ship: {names}.")
