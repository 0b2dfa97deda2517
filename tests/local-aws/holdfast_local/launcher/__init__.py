"""MiniStack with EC2 and EBS handed to ec2-sim, and with the few things mended that Holdfast depends on.

Every module here replaces one or two functions of MiniStack, which is pinned to the version they were written for;
`../../README.md` lists them.
"""
