modules="loop dm_mod"
module_loop_args="max_loop=64"
modules_2_6="ieee1394"
